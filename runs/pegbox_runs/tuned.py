"""What a run left behind, seen from afterwards: an adapter, and the base model that it belongs to."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import msgspec

from pegbox_methods.card import Card
from pegbox_methods.events import UNDECODABLE
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import portable
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_runs.changes import current_recipe
from pegbox_runs.environment import Environment, changed_part, prints_in, prints_of, read_environment
from pegbox_runs.models import CATALOGUE, FoundModel, find_model, named_model
from pegbox_runs.run_folder import RunFolder, find
from pegbox_runs.viewing import state_of

PEFT_CONFIG = "adapter_config.json"
CARRIED = frozenset({"queued", "running", "paused", "restarting"})
"""What a run is that somebody carries, and that will save its adapter."""
OF_THE_FILE = frozenset(
    {"auto_mapping", "base_model_name_or_path", "inference_mode", "peft_version", "revision"},
)
"""Keys of it that say where the base lies, or which library wrote it, and nothing of what the adapter computes."""


@dataclass(frozen=True)
class TunedRun:
    """A run whose adapter is there, on the base model that it was trained on."""

    folder: RunFolder
    recipe: Recipe
    """As the run ended with it."""
    environment: Environment
    card: Card
    model: FoundModel
    """The base; a Hub model's weights may have to be fetched again."""
    moved_base: str | None = None
    """Where the base lies now, if that isn't where the run's recipe says; `recipe` has it too."""

    @property
    def id(self) -> str:
        """The run's id."""
        return self.folder.id

    @property
    def adapter(self) -> Path:
        """What was trained: PEFT's standard files, or whatever the method writes."""
        return self.folder.adapter

    @property
    def is_peft(self) -> bool:
        """Whether PEFT alone can load it."""
        return (self.adapter / PEFT_CONFIG).is_file()

    def adapter_sha256(self) -> str:
        """Hash what the adapter computes, see `adapter_sha256_in`. Raises: OSError."""
        return adapter_sha256_in(self.adapter)


def adapter_sha256_in(adapter: Path) -> str:
    """Hash all weights of an adapter's folder, by name and content, and what PEFT's config makes of them.

    Raises: OSError.
    """
    digest = hashlib.sha256()
    for path in sorted(adapter.rglob("*.safetensors")):
        digest.update(str(path.relative_to(adapter)).encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    config = adapter / PEFT_CONFIG
    digest.update(own_config(config.read_bytes()) if config.is_file() else b"")
    return digest.hexdigest()


def own_config(config: bytes) -> bytes:
    """Give the part of PEFT's config that decides what an adapter computes; one that can't be read is given as it is.

    The same weights with another `lora_alpha` are another model.
    """
    try:
        told = json.loads(config)
    except (ValueError, RecursionError):
        return config
    if not isinstance(told, dict):
        return config
    own = {key: value for key, value in told.items() if key not in OF_THE_FILE}
    return json.dumps(own, sort_keys=True).encode()


def tuned_run(run: str, *, base: str | None = None) -> TunedRun:
    """Find a run by its id, a unique prefix of it, `last`, or its folder, with what it left behind.

    `base`: where the base model lies now, if it was moved since.

    Raises: Refusal: there is no such run; it has no adapter; its base model is gone, or isn't the one that it was
    trained on any more; its method isn't installed.
    """
    folder = run_named(run)
    if not folder.adapter.is_dir() or not any(folder.adapter.rglob("*.safetensors")):
        _refuse_without_adapter(folder)
    recipe = current_recipe(folder)
    if base is not None:
        there = msgspec.structs.replace(recipe.model, name=named_model(base).name, revision=None)
        recipe = msgspec.structs.replace(recipe, model=there)
    card = find_card(recipe.method.name)
    try:
        environment = read_environment(folder.environment)
    except (OSError, *UNDECODABLE) as error:
        raise Refusal(f"{folder.environment}: can't be read: {error}. Without it, nothing tells the base.") from error
    model = _found(recipe, moved=base is not None)
    _refuse_other_base(folder, recipe, environment, model, moved=base is not None)
    return TunedRun(folder, recipe, environment, card, model, None if base is None else recipe.model.name)


def _refuse_without_adapter(folder: RunFolder) -> NoReturn:
    """Say why there is none yet, or none at all. Raises: Refusal."""
    status = state_of(folder).status
    if status in CARRIED:
        raise Refusal(
            f"{folder.id}: has no adapter yet: it is {status}, and saves one at its end. `pegbox watch {folder.id}` "
            f"shows how far it is; `pegbox stop {folder.id}` ends it with what it has learned by then."
        )
    raise Refusal(
        f"{folder.id}: has no adapter: it hasn't begun, or ended before it could save one. `pegbox watch {folder.id}` "
        f"shows which; `pegbox resume {folder.id}` goes on from its last good checkpoint."
    )


def run_named(run: str) -> RunFolder:
    """Find a run as `tuned_run` does, whatever it left behind. Raises: Refusal."""
    named = Path(run).expanduser()
    if len(named.parts) > 1 and (named / "recipe.toml").is_file():
        return RunFolder(named.absolute())
    return find(run)


def _found(recipe: Recipe, *, moved: bool) -> FoundModel:
    """Find the base.

    Raises: Refusal: it isn't there; says how to name another place.
    """
    try:
        return find_model(recipe.model)
    except Refusal as refusal:
        if moved:
            raise
        raise Refusal(f"{refusal.sentence} If the base model was moved, name its place with --base.") from refusal


def _refuse_other_base(folder: RunFolder, recipe: Recipe, told: Environment, model: FoundModel, *, moved: bool) -> None:
    """Refuse a base that was changed since, and an adapter that says it is of another one.

    Where it was `moved`, only what is in it tells.

    Raises: Refusal.
    """
    name = portable(recipe.model.name)
    changed = changed_part(prints_in(told), prints_of(model, recipe.model), from_hub=model.from_hub)
    if changed == "config or weights":
        raise Refusal(
            f"{name}: isn't the model that {folder.id} was trained on any more: its config.json or its weights were "
            "changed since. An adapter on other weights is another model; put back the one that was there."
        )
    if changed is not None:
        own = recipe.model.chat_template if changed == "chat template" else None
        what = f"{name}: its {changed}" if own is None else f"{portable(own)}: the chat template"
        raise Refusal(
            f"{what} isn't the one that {folder.id} was trained with any more: prompts would be other ones. Put back "
            "the file that was there."
        )
    said = None if moved else _base_of_adapter(folder.adapter / PEFT_CONFIG)
    if said is not None and said not in (model.reference, model.name, recipe.model.name) and not _same(said, model):
        raise Refusal(
            f"{folder.adapter}: says that it belongs to the base {portable(said)}, and the run was trained on {name}. "
            "Put back the adapter that the run made."
        )


def _base_of_adapter(config: Path) -> str | None:
    try:
        told = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    said = told.get("base_model_name_or_path") if isinstance(told, dict) else None
    return said if isinstance(said, str) and said else None


def _same(said: str, model: FoundModel) -> bool:
    """Tell whether an adapter's words name the folder that the base lies in, by another way to it."""
    return model.name in CATALOGUE or Path(said).expanduser().resolve() == model.folder.resolve()
