"""Finding a model by name: a folder, the catalogue, the local Hub cache, or the Hub itself."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pegbox_hardware.disk import model_cache
from pegbox_hardware.model_config import shape_of
from pegbox_hardware.shape import ModelShape
from pegbox_methods.recipe import Model
from pegbox_methods.recipe_file import recipe_from_table
from pegbox_methods.refusal import Refusal
from pegbox_runs.base_prints import TOKENIZER, config_fingerprint, weights_fingerprint
from pegbox_runs.catalogue import published
from pegbox_runs.hub_search import offline
from pegbox_runs.printable import printable

BUNDLED = Path(__file__).parent / "bundled"
CATALOGUE = {"bundled": BUNDLED / "model"}

SMALL_FILES = ("*.json", "*.jinja", "*.model", "*.txt")
"""What tells a model's shape and tokenizer; the weights are fetched later, by the worker."""
CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
BROKEN_INDEX = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What reading one may raise that isn't as the Hub's library writes it; JSON may nest deeper than Python goes."""


@dataclass(frozen=True)
class FoundModel:
    """A model whose small files lie in a folder and were looked at."""

    name: str
    """As the recipe has it."""
    folder: Path
    config: dict[str, Any]
    shape: ModelShape | None
    has_template: bool
    from_hub: bool
    told: str = ""
    """What one must know of where this was found; empty: nothing."""

    @property
    def weight_files(self) -> tuple[str, ...]:
        """Name the files that hold the weights: those the index names, else the one of the usual name."""
        index = self.folder / INDEX
        if not index.is_file():
            return ("model.safetensors",)
        return tuple(sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())))

    @property
    def complete(self) -> bool:
        """Whether all weights lie in the folder; a model of the Hub may lack some. Raises: one of BROKEN_INDEX."""
        return all((self.folder / file).is_file() for file in self.weight_files)

    @property
    def reference(self) -> str:
        """Name it as other tools can load it: the Hub id, or the folder."""
        return self.name if self.from_hub else str(self.folder.absolute())

    @property
    def positions(self) -> int | None:
        """Longest sequence in tokens that the model was built for."""
        value = self.config.get("max_position_embeddings")
        return value if isinstance(value, int) else None

    def sha256(self) -> str:
        """Hash the config and the names and sizes of the weight files: tells one model from another cheaply."""
        return config_fingerprint(self.config, self.folder)

    def weights_sha256(self) -> str | None:
        """Hash blocks of the weights themselves; None: they aren't all here, or can't be read."""
        try:
            return weights_fingerprint(self.folder / file for file in self.weight_files)
        except BROKEN_INDEX:
            return None


class NotHad(Refusal):
    """The Hub has such a model, or may have it, and doesn't give it now."""


class Inspect(Protocol):
    """How much of a folder is looked at."""

    def __call__(self, name: str, folder: Path, *, from_hub: bool) -> FoundModel:
        """Look at a folder. Raises: Refusal."""


def named_model(name: str) -> Model:
    """Read a model's name as a recipe in the current folder would.

    Raises: Refusal.
    """
    table = {"model": {"name": name}, "rows": {"file": "-"}}
    return recipe_from_table(table, file="the command line", folder=Path.cwd()).model


def find_model(model: Model) -> FoundModel:
    """Find a model and look at its small files; on the network only if it lies nowhere here.

    Raises: Refusal: it isn't there, or isn't a model that can be tuned.
    """
    return _find(model, inspect_folder, TOKENIZER)


def find_config(model: Model) -> FoundModel:
    """Find a model by its config.json alone: for forecasts and advice, neither weights nor tokenizer need be there.

    Of a published model that can't be had now, the sizes that the catalogue knows do; `told` says so.
    Raises: Refusal: it isn't there, or its config.json can't be read.
    """
    try:
        return _find(model, inspect_config, CONFIG)
    except NotHad:
        by_heart = by_catalogue(model)
        if by_heart is None:
            raise
        return by_heart


def by_catalogue(model: Model) -> FoundModel | None:
    """Give what the catalogue knows of a published model, without a look at disk or network; None: nothing.

    A named revision isn't known there: its config.json may be another one.
    """
    known = published(model.name) if model.revision is None else None
    if known is None:
        return None
    return FoundModel(
        name=known.id,
        folder=model_cache() / f"models--{known.id.replace('/', '--')}" / "snapshots" / "none",
        config=known.config,
        shape=shape_of(known.config)[0],
        has_template=known.chat_template,
        from_hub=True,
        told="its config.json isn't here: the sizes are those of Pegbox' catalogue",
    )


def _find(model: Model, inspect: Inspect, needed: str) -> FoundModel:
    """Look for a model where models are, on the network last; `needed` is the file that a cached one must have.

    Raises: Refusal.
    """
    named = Path(model.name)  # recipe_file has made a folder's name absolute
    if named.is_absolute() and named.is_dir():
        return inspect(model.name, named, from_hub=False)
    if model.name in CATALOGUE:
        return inspect(model.name, CATALOGUE[model.name], from_hub=False)
    if named.is_absolute() or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model.name, re.ASCII):
        raise Refusal(
            f"{printable(model.name)[:200]}: there is no such model folder. Give a folder with config.json, "
            f"tokenizer.json and *.safetensors, a Hub id such as org/name, or one of: {', '.join(CATALOGUE)}."
        )
    return _from_hub(model, inspect, needed)


def read_config(file: Path) -> dict[str, Any]:
    """Read a config.json.

    Raises: Refusal: it isn't there, or isn't a JSON object.
    """
    try:
        config = json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise Refusal(f"{file.parent}: not a model folder: it has no {file.name}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise Refusal(f"{file}: can't be read as JSON: {str(error)[:200]}.") from None
    if not isinstance(config, dict):
        raise Refusal(f"{file}: expected a JSON object.")
    return config


def inspect_config(name: str, folder: Path, *, from_hub: bool) -> FoundModel:
    """Look at a model's config, whatever else its folder lacks.

    Raises: Refusal: it has none, or one that can't be read.
    """
    config = read_config(folder / CONFIG)
    shape, _ = shape_of(config)
    return FoundModel(name, folder, config, shape, _has_template(folder), from_hub)


def inspect_folder(name: str, folder: Path, *, from_hub: bool) -> FoundModel:
    """Look at a model's folder.

    Raises: Refusal: a file that is needed is missing or broken; says which.
    """
    found = inspect_config(name, folder, from_hub=from_hub)
    if not (folder / TOKENIZER).is_file():
        raise Refusal(
            f"{folder}: the model has no tokenizer ({TOKENIZER}). Save it into the same folder with transformers' "
            "AutoTokenizer.from_pretrained(...).save_pretrained(...), which writes that file for older kinds too."
        )
    if not from_hub:
        _refuse_incomplete(found)
    return found


def _refuse_incomplete(found: FoundModel) -> None:
    """Refuse a local folder whose weights aren't all there as safetensors.

    Raises: Refusal.
    """
    try:
        if found.complete:
            return
        lacking = [file for file in found.weight_files if not (found.folder / file).is_file()]
    except BROKEN_INDEX as error:
        raise Refusal(f"{found.folder}/{INDEX}: can't be read: {type(error).__name__}: {error}.") from None
    pickled = sorted(file.name for file in (*found.folder.glob("*.bin"), *found.folder.glob("*.pt")))
    raise Refusal(
        f"{found.folder}: lacks weights in safetensors ({', '.join(lacking[:3])})."
        + (f" {', '.join(pickled[:3])} may run code when opened and won't be." if pickled else "")
        + " Load the model once with transformers where you trust it, and save it with save_pretrained()."
    )


def _has_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    try:
        table = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(table, dict) and bool(table.get("chat_template"))


def _from_hub(model: Model, inspect: Inspect, needed: str) -> FoundModel:
    """Look in the local cache, then on the Hub, for the small files."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    name = model.name
    try:
        cached = _cached(model, needed)
        if cached is not None:
            return inspect(name, cached, from_hub=True)
        folder = Path(snapshot_download(name, revision=model.revision, allow_patterns=list(SMALL_FILES)))
    except HFValidationError as error:
        raise Refusal(f"{name}: neither a folder nor a Hub id: {error}.") from None
    except GatedRepoError:
        raise NotHad(
            f"{name}: the Hub asks for your consent and login. Accept its terms on the model's page, then run "
            "`hf auth login`."
        ) from None
    except RepositoryNotFoundError:
        raise NotHad(
            f"{name}: neither a folder, nor in Pegbox' catalogue, nor on the Hub. If the model is "
            "private, run `hf auth login` first."
        ) from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise NotHad(_unreached(name, error)) from None
    return inspect(name, folder, from_hub=True)


def _unreached(name: str, error: Exception) -> str:
    """Say what is known of a model that can't be fetched now, and what to do."""
    why = "HF_HUB_OFFLINE is set" if offline() else type(error).__name__
    if published(name) is not None:
        return (
            f"{name}: it is in Pegbox' catalogue, but its files aren't on this machine; they must be fetched from the "
            f"Hub, and the Hub can't be reached ({why}). Try again with a network, or fetch it on a machine that has "
            f"one (`hf download {name}`) and copy the Hub cache here."
        )
    return (
        f"{name}: neither a folder, nor in Pegbox' catalogue, nor in the local Hub cache, and the Hub can't be reached "
        f"({why}). Give a folder, or try again with a network."
    )


def _cached(model: Model, needed: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model.name, needed, revision=model.revision)
    if isinstance(found, str) and (Path(found).parent / CONFIG).is_file():
        return Path(found).parent
    return None
