"""Folders by a typed path: what goes on from it, and which of them are models."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from pegbox_runs.models import CONFIG

MOST_FOLDERS = 200
"""Of one place; typing on narrows them."""


@dataclass(frozen=True)
class Folder:
    """One folder that goes on from what was typed."""

    typed: str
    """As it would stand in the field: with `~` where that was typed."""
    path: Path
    is_model: bool
    """It holds a config.json."""


@dataclass(frozen=True)
class Folders:
    """Those that go on from a typed path, and why there are none."""

    typed: str
    folders: tuple[Folder, ...] = ()
    fault: str | None = None


def is_path(typed: str) -> bool:
    """Tell whether a text is meant as a path: Hub ids never begin so."""
    return typed.startswith(("/", "~", "./", "../")) or typed in {".", ".."}


def folders(typed: str) -> Folders:
    """List the folders whose name goes on as typed; of a whole folder also itself, where it is a model."""
    head, _, part = typed.rpartition("/")
    if typed in {"~", ".", ".."}:
        head, part = typed, ""
    above = f"{head}/" if typed not in {"~", ".", ".."} else f"{typed}/"
    place = Path(os.path.expanduser(above)).absolute()  # noqa: PTH111 - pathlib raises for a home of nobody's
    try:
        names = sorted(name for name in os.listdir(place) if name.startswith(part))  # noqa: PTH208 - names alone
        found = [_folder(above, place, name) for name in names if part.startswith(".") or not name.startswith(".")]
    except OSError as error:
        return Folders(typed, fault=f"{place}: {error.strerror or error}.")
    listed = tuple(folder for folder in found if folder is not None)[:MOST_FOLDERS]
    if not part and _is_model(place):
        listed = (Folder(above, place, True), *listed)
    if not listed:
        return Folders(
            typed, fault=f"{place}: no folder there goes on as “{part}”." if part else f"{place}: no folders."
        )
    return Folders(typed, listed)


def completed(typed: str, known: Folders) -> str:
    """Lengthen a typed path as far as all folders agree that go on from it."""
    if known.typed != typed or not known.folders:
        return typed
    further = [folder.typed for folder in known.folders if folder.typed != typed]
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*further, strict=False))
    longer = "".join(letters[0] for letters in alike)
    return longer if len(longer) > len(typed) else typed


def _folder(above: str, place: Path, name: str) -> Folder | None:
    path = place / name
    try:
        return Folder(f"{above}{name}/", path, _is_model(path)) if path.is_dir() else None
    except OSError:
        return None


def _is_model(path: Path) -> bool:
    try:
        return (path / CONFIG).is_file()
    except OSError:
        return False
