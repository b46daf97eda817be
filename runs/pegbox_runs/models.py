"""Finding a model by name: a folder, the catalogue, the local Hub cache, or the Hub itself."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pegbox_hardware.shape import ModelShape, shape_of
from pegbox_methods.recipe import Model
from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import printable

BUNDLED = Path(__file__).parent / "bundled"
CATALOGUE = {"bundled": BUNDLED / "model"}

SMALL_FILES = ("*.json", "*.jinja", "*.model", "*.txt")
"""What tells a model's shape and tokenizer; the weights are fetched later, by the worker."""
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")


@dataclass(frozen=True)
class FoundModel:
    """A model whose small files lie in a folder and were looked at."""

    name: str
    """As the recipe has it."""
    folder: Path
    config: dict[str, Any]
    shape: ModelShape | None
    has_template: bool
    complete: bool
    """Whether the weights lie in the folder too; False only for a model of the Hub."""
    from_hub: bool = False

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
        digest = hashlib.sha256(json.dumps(self.config, sort_keys=True).encode())
        for file in sorted(self.folder.glob("*.safetensors")):
            digest.update(f"{file.name}:{file.stat().st_size}".encode())
        return digest.hexdigest()


def find_model(model: Model) -> FoundModel:
    """Find a model and look at its small files; on the network only if it lies nowhere here.

    Raises: Refusal: it isn't there, or isn't a model that can be tuned.
    """
    named = Path(model.name).expanduser()
    if named.is_dir():
        return inspect_folder(model.name, named, complete=True)
    if model.name in CATALOGUE:
        return inspect_folder(model.name, CATALOGUE[model.name], complete=True)
    if named.is_absolute() or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model.name, re.ASCII):
        raise Refusal(
            f"{printable(model.name)}: there is no such model folder. Give a folder with config.json, tokenizer and "
            f"*.safetensors, a Hub id such as org/name, or one of: {', '.join(CATALOGUE)}."
        )
    return _from_hub(model)


def inspect_folder(name: str, folder: Path, *, complete: bool, from_hub: bool = False) -> FoundModel:
    """Look at a model's folder.

    Raises: Refusal: a file that is needed is missing or broken; says which.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refusal(f"{folder}: not a model folder: it has no config.json.") from None
    except (OSError, ValueError) as error:
        raise Refusal(f"{folder}/config.json: can't be read: {error}.") from None
    if not isinstance(config, dict):
        raise Refusal(f"{folder}/config.json: expected a JSON object.")
    if not any((folder / file).is_file() for file in TOKENIZER_FILES):
        raise Refusal(
            f"{folder}: the model has no tokenizer (none of {', '.join(TOKENIZER_FILES)}). "
            "Save its tokenizer into the same folder."
        )
    if complete and not any(folder.glob("*.safetensors")):
        pickled = sorted(file.name for file in (*folder.glob("*.bin"), *folder.glob("*.pt")))
        raise Refusal(
            f"{folder}: no weights in *.safetensors."
            + (f" {', '.join(pickled[:3])} may run code when opened and won't be." if pickled else "")
            + " Load the model once with transformers where you trust it, and save it with save_pretrained()."
        )
    shape, _ = shape_of(config)
    return FoundModel(name, folder, config, shape, _has_template(folder), complete, from_hub)


def _has_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    try:
        table = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(table, dict) and bool(table.get("chat_template"))


def _from_hub(model: Model) -> FoundModel:
    """Look in the local cache, then on the Hub, for the small files."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    for folder in _cached(model):
        return inspect_folder(model.name, folder, complete=any(folder.glob("*.safetensors")), from_hub=True)
    name = model.name
    try:
        folder = Path(snapshot_download(name, revision=model.revision, allow_patterns=list(SMALL_FILES)))
    except GatedRepoError:
        raise Refusal(
            f"{name}: the Hub asks for your consent and login. Accept its terms on the model's page, then run "
            "`hf auth login`."
        ) from None
    except RepositoryNotFoundError:
        raise Refusal(
            f"{name}: neither a folder, nor in the catalogue ({', '.join(CATALOGUE)}), nor on the Hub. If the model is "
            "private, run `hf auth login` first."
        ) from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise Refusal(
            f"{name}: neither a folder, nor in the catalogue ({', '.join(CATALOGUE)}), nor in the local Hub cache, and "
            f"the Hub can't be reached ({type(error).__name__}). Give a folder, or try again with a network."
        ) from None
    return inspect_folder(name, folder, complete=any(folder.glob("*.safetensors")), from_hub=True)


def _cached(model: Model) -> Iterator[Path]:
    from huggingface_hub import try_to_load_from_cache

    for file in TOKENIZER_FILES:
        found = try_to_load_from_cache(model.name, file, revision=model.revision)
        if isinstance(found, str) and (Path(found).parent / "config.json").is_file():
            yield Path(found).parent
