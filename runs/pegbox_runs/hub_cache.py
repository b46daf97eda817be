"""Models that lie in the local Hub cache, read off its folders: no network, no library, whatever state it is in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pegbox_hardware.disk import model_cache
from pegbox_methods.refusal import Refusal
from pegbox_runs.models import BROKEN_INDEX, CONFIG, FoundModel, inspect_config
from pegbox_runs.printable import one_line

PREFIX = "models--"
"""How the cache calls a model's folder: the slashes of its id are two dashes.
Source: https://huggingface.co/docs/huggingface_hub/guides/manage-cache."""
MOST_MODELS = 500
"""A shared cache may hold thousands; reading more would keep the screen waiting."""


@dataclass(frozen=True)
class CachedModel:
    """A model in the cache. Bytes."""

    found: FoundModel
    revision: str | None
    """What a recipe must name to get it; None: its main branch lies there."""
    disk_bytes: int
    """Of all revisions that are kept."""
    complete: bool
    """Whether its weights are all there, as safetensors."""


@dataclass(frozen=True)
class CacheScan:
    """What was found, by id, and a sentence for each thing that couldn't be read."""

    models: tuple[CachedModel, ...] = ()
    faults: tuple[str, ...] = ()


def cached_models(cache: Path | None = None) -> CacheScan:
    """Read the cache. A model of which no config.json is there is no model yet, and left out."""
    cache = cache or model_cache()
    models: list[CachedModel] = []
    faults: list[str] = []
    try:
        folders = sorted(path for path in cache.iterdir() if path.name.startswith(PREFIX))
    except FileNotFoundError:
        return CacheScan()
    except OSError as error:
        return CacheScan(faults=(f"the Hub cache {cache} can't be read: {error.strerror or error}.",))
    for folder in folders[:MOST_MODELS]:
        try:
            model = _read(folder)
        except OSError as error:
            faults.append(f"{folder} can't be read: {error.strerror or error}.")
        except Refusal as refusal:
            faults.append(one_line(refusal.sentence, 300))
        else:
            models += [model] if model else []
    if len(folders) > MOST_MODELS:
        faults.append(f"the Hub cache {cache} holds {len(folders)} models: only the first {MOST_MODELS} are listed.")
    return CacheScan(tuple(models), tuple(faults))


def _read(folder: Path) -> CachedModel | None:
    """Look at a model's folder. Raises: OSError, Refusal: it can't be read."""
    name = folder.name.removeprefix(PREFIX).replace("--", "/")
    snapshots = {path.name: path for path in _folders(folder / "snapshots") if (path / CONFIG).is_file()}
    if not snapshots:
        return None
    main = _main(folder)
    revision = None if main in snapshots else max(snapshots, key=lambda sha: snapshots[sha].stat().st_mtime)
    snapshot = snapshots[main if revision is None else revision]
    found = inspect_config(name, snapshot, from_hub=True)
    return CachedModel(found, revision, sum(_sizes(folder)), _complete(found))


def _folders(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _main(folder: Path) -> str:
    """Give the commit of the main branch, as it was when it was fetched; empty: it never was."""
    try:
        return (folder / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _sizes(folder: Path) -> Iterator[int]:
    """Give the size of each file that lies in the folder itself; links to them take no room."""
    for place, _, names in os.walk(folder):  # follows no links to folders
        for name in names:
            path = Path(place, name)
            with suppress(OSError):  # it vanished meanwhile
                yield 0 if path.is_symlink() else path.stat().st_size


def _complete(found: FoundModel) -> bool:
    """Tell whether all weights are there; an index that can't be read names none."""
    try:
        return found.complete
    except BROKEN_INDEX:
        return False
