"""What a run will write to disk, and what is free there: told before the start, not at the last checkpoint."""

from __future__ import annotations

import msgspec

from pegbox_hardware.disk import model_cache, read_disk, share_a_disk
from pegbox_methods.recipe import Model, Recipe
from pegbox_runs.catalogue import published
from pegbox_runs.checkpoint_bytes import OTHER_FILES, TRAINED_BYTES, state_bytes
from pegbox_runs.models import BROKEN_INDEX, FoundModel
from pegbox_runs.run_folder import runs_root

PUBLISHED_BYTES = 2
"""Of a weight on the Hub: nearly all models are published in 16 bits."""


class DiskNeed(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes."""

    download: int
    """Of the model's weights, about; 0: they are here, or there is nowhere to fetch them from."""
    checkpoint: int
    """Of one of them."""
    checkpoints: int
    """Kept at once, with the one that is being written."""
    adapter: int
    run_free: int | None
    """Where runs lie; None: it can't be read."""
    model_free: int | None
    """Where models are kept."""
    one_disk: bool = False
    """Both lie on the same one: what the download takes, the run lacks."""
    model_gone: bool = False
    """The model is a folder of one's own, and lacks weights."""

    @property
    def run(self) -> int:
        """Give what the run's folder takes."""
        return self.checkpoint * self.checkpoints + self.adapter

    @property
    def lacking(self) -> int:
        """Give what is lacking on either disk; 0: nothing, or it isn't known."""
        if self.one_disk:
            free = self.model_free if self.run_free is None else self.run_free
            return 0 if free is None else max(0, self.run + self.download - free)
        run = 0 if self.run_free is None else max(0, self.run - self.run_free)
        model = 0 if self.model_free is None else max(0, self.download - self.model_free)
        return max(run, model)


def disk_need(recipe: Recipe, model: FoundModel, trainable_weights: int) -> DiskNeed:
    """Estimate the need of a complete recipe. Never raises."""
    copies = 1 if recipe.method.name == "full" else 2  # PEFT's own copy lies beside the weights that are resumed from
    per_weight = TRAINED_BYTES * copies + state_bytes(recipe.training.optimizer)
    return DiskNeed(
        download=_download(recipe.model, model),
        checkpoint=round(trainable_weights * per_weight) + OTHER_FILES,
        checkpoints=recipe.output.checkpoints + 1,
        adapter=TRAINED_BYTES * trainable_weights,
        run_free=read_disk("runs", runs_root()).free,
        model_free=read_disk("models", model_cache()).free,
        one_disk=share_a_disk(runs_root(), model_cache()),
        model_gone=not model.from_hub and not _is_here(model),
    )


def _download(named: Model, model: FoundModel) -> int:
    """Give what the model's weights take that aren't here; as it is published, where that is known."""
    if _is_here(model) or not model.from_hub:
        return 0
    known = published(named.name)
    if known is not None:
        return known.download_bytes
    return 0 if model.shape is None else PUBLISHED_BYTES * model.shape.weights


def _is_here(model: FoundModel) -> bool:
    try:
        return model.complete
    except BROKEN_INDEX:
        return False
