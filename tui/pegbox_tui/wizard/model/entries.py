"""What can be chosen: models of all sources in one form, each once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from pegbox_methods.recipe import Model
from pegbox_runs.catalogue import CatalogueModel, catalogue, published
from pegbox_runs.hub_cache import CachedModel
from pegbox_runs.hub_search import HubModel
from pegbox_runs.models import BROKEN_INDEX, CATALOGUE, CONFIG, FoundModel, by_catalogue, inspect_config

Section = Literal["taken", "bundled", "here", "catalogue", "hub"]
TITLES: dict[Section, str] = {
    "taken": "Taken",
    "bundled": "Comes with Pegbox",
    "here": "On this machine",
    "catalogue": "Catalogue",
    "hub": "Found on the Hub",
}


@dataclass(frozen=True)
class Entry:
    """One model of the list. Names, licences and configs are text from outside. Bytes; None is unknown."""

    section: Section
    name: str
    model: Model
    """What the draft gets."""
    found: FoundModel | None = None
    """What is forecast from; None: its config.json would have to be fetched."""
    known: CatalogueModel | None = None
    parameters: int | None = None
    licence: str | None = None
    gated: bool | None = None
    download_bytes: int | None = None
    disk_bytes: int | None = None
    """What it takes here already."""
    complete: bool = False
    """Its weights are here."""
    downloads: int | None = None

    @property
    def id(self) -> str:
        """Tell it from the others."""
        return f"{self.section}:{self.name}@{self.model.revision or ''}"

    def answers(self, words: Iterable[str]) -> bool:
        """Tell whether each word is in what is written of it."""
        written = f"{self.name} {self.licence or ''} {self.known.good_for if self.known else ''}".lower()
        return all(word in written for word in words)


def bundled_entries() -> Iterator[Entry]:
    """List the models that need no download at all."""
    for name, folder in CATALOGUE.items():
        found = inspect_config(name, folder, from_hub=False)
        size = sum(file.stat().st_size for file in folder.iterdir())
        yield Entry(
            section="bundled",
            name=name,
            model=Model(name=name),
            found=found,
            parameters=found.shape.weights if found.shape else None,
            licence="apache-2.0",
            gated=False,
            disk_bytes=size,
            complete=True,
        )


def catalogue_entries(besides: Iterable[Entry]) -> Iterator[Entry]:
    """List the catalogue without what is here already."""
    here = {entry.name for entry in besides}
    for known in catalogue():
        if known.id not in here:
            model = Model(name=known.id)
            yield Entry(
                section="catalogue",
                name=known.id,
                model=model,
                found=by_catalogue(model),
                known=known,
                parameters=known.parameters,
                licence=known.licence,
                gated=known.gated,
                download_bytes=known.download_bytes,
            )


def cached_entry(cached: CachedModel) -> Entry:
    """Describe a model of the Hub cache; the catalogue tells what a config.json doesn't."""
    known = published(cached.found.name)
    shape = cached.found.shape
    return Entry(
        section="here",
        name=cached.found.name,
        model=Model(name=cached.found.name, revision=cached.revision),
        found=cached.found,
        known=known,
        parameters=shape.weights if shape else known.parameters if known else None,
        licence=known.licence if known else None,
        gated=known.gated if known else None,
        download_bytes=None if cached.complete or known is None else known.download_bytes,
        disk_bytes=cached.disk_bytes,
        complete=cached.complete,
    )


def hub_entry(model: HubModel) -> Entry:
    """Describe an answer of the Hub; what the catalogue knows of it counts more."""
    known = published(model.id)
    named = Model(name=model.id)
    parameters = known.parameters if known else model.parameters
    return Entry(
        section="hub",
        name=model.id,
        model=named,
        found=by_catalogue(named),
        known=known,
        parameters=parameters,
        licence=known.licence if known else model.licence,
        gated=model.gated,
        download_bytes=known.download_bytes if known else None,
        downloads=model.downloads,
    )


def taken_entry(model: Model, found: FoundModel | None) -> Entry:
    """Describe the draft's model where no list holds it: a folder, or an id as it was typed."""
    known = published(model.name)
    shape = found.shape if found else None
    return Entry(
        section="taken",
        name=model.name,
        model=model,
        found=found,
        known=known,
        parameters=shape.weights if shape else None,
        licence=known.licence if known else None,
        gated=known.gated if known else None,
        download_bytes=known.download_bytes if known else None,
        complete=found is not None and _complete(found),
    )


def _complete(found: FoundModel) -> bool:
    """Tell whether the weights are there; a broken index names none."""
    try:
        return (found.folder / CONFIG).is_file() and found.complete
    except BROKEN_INDEX:
        return False
