"""The place that somebody names for an artefact."""

from __future__ import annotations

from pathlib import Path

from pegbox_methods.home import user_path
from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import printable


def named_place(text: str) -> Path:
    """Give the whole path of a place, without a `..` in it.

    Raises: Refusal: there are control characters in it, which no later reader of the path expects.
    """
    if printable(text) != text or "\n" in text or "\t" in text:
        raise Refusal(f"{text!a}: has characters in it that can't be seen. Name another place.")
    path = user_path(text).absolute()
    return path.resolve() if ".." in path.parts else path
