"""What a base model is called where others can get it, and under which licence."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from pegbox_methods.hub_name import is_hub_id
from pegbox_methods.refusal import Refusal
from pegbox_runs.catalogue import licence_words, published
from pegbox_runs.models import FoundModel
from pegbox_runs.printable import one_line
from pegbox_runs.reporting.phrases import short

README = "README.md"
_MOST_BYTES = 2 * 2**20
_LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,60}")
_LINK = re.compile(r"https://[!-~]{1,300}|[\w./-]{1,100}")
_FRONT = re.compile(r"\A\s*---\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Licence:
    """Terms as a model card's metadata name them."""

    id: str
    """As the Hub names it: `apache-2.0`, `llama3.2`, or `other`."""
    name: str | None
    link: str | None
    told_by: str
    """Where it was found, for people."""

    @property
    def words(self) -> str:
        """What it asks for, in plain words where Pegbox knows it."""
        return self.name if self.name and self.id == "other" else licence_words(self.id)


@dataclass(frozen=True)
class Base:
    """The base as a card names it. Nothing of where it lies on this machine is in here."""

    name: str
    """For people: the Hub id, the catalogue's name, or the folder's own."""
    hub_id: str | None
    """None: it isn't known to be on the Hub."""
    revision: str | None
    licence: Licence | None
    """None: it isn't known."""


def base_of(model: FoundModel, revision: str | None, *, called: str | None = None) -> Base:
    """Tell a base's name and licence. `called`: its Hub id by the person's word, where the run took a folder.

    Raises: Refusal: that is no Hub id.
    """
    if called is not None and not is_hub_id(called):
        raise Refusal(f"--base-id {one_line(called, 100)}: isn't a Hub id. Give one as org/name.")
    hub_id = model.name if model.from_hub else called
    return Base(
        hub_id or short(model.name),
        hub_id,
        revision if model.from_hub else None,
        _licence(model.folder / README, hub_id),
    )


def _licence(readme: Path, hub_id: str | None) -> Licence | None:
    told = _metadata(readme)
    found = told.get("license")
    if isinstance(found, str) and _LICENCE.fullmatch(found):
        name, link = told.get("license_name"), told.get("license_link")
        named = name if isinstance(name, str) and _LICENCE.fullmatch(name) else None
        linked = link if isinstance(link, str) and _LINK.fullmatch(link) else None
        return Licence(found, named, linked, "the base's own model card")
    known = published(hub_id) if hub_id else None
    return None if known is None else Licence(known.licence, None, None, "Pegbox' catalogue")


def _metadata(readme: Path) -> dict[str, object]:
    """Read the front matter of a model card from outside; empty: there is none, or it can't be read."""
    try:
        with readme.open("rb") as file:
            text = file.read(_MOST_BYTES).decode("utf-8", errors="replace")
        front = _FRONT.match(text)
        told = yaml.safe_load(front[1]) if front else None
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
