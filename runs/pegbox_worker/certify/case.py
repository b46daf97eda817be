"""One method on the bench, and the run of it that most checks look at."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import set_seed

from pegbox_methods.card import Card
from pegbox_methods.recipe import Method, Model, Recipe, Seeds, Training
from pegbox_methods.recipe_file import complete_recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import Attached, TorchHalf
from pegbox_worker.certify.bench import CPU, HELD_OUT_ROWS, LENGTH, MODEL, ROWS, Bench
from pegbox_worker.certify.tensors import BaseWeights, Tensors, copied, logits_of, loss_of, tensors_of
from pegbox_worker.certify.training import Pace, Trained, train
from pegbox_worker.certify.verdict import Shortfall
from pegbox_worker.checkpoint import trained_weights
from pegbox_worker.first_look import show_rows

Found = TypeVar("Found")

SEED = 42
STEPS = 12
"""Of the main run. A method whose schedule needs more gets twice as many, and again."""
MOST_STEPS = 1000
MICRO_BATCH = 2
"""Rows of a step: two of them are padded to one length, and more would prove no more."""
COMPARED_ROWS = 4
"""Held-out rows whose logits are compared."""


@dataclass(frozen=True)
class Untrained:
    """The main run before its first step."""

    recipe: Recipe
    attached: Attached
    base: BaseWeights
    after_attach: Tensors
    """All tensors, by their names in the wrapped model."""
    trains: tuple[str, ...]
    base_logits: Tensor
    logits: Tensor
    loss: float


@dataclass(frozen=True)
class MainRun:
    """The main run after its last step."""

    run: Trained
    logits: Tensor
    loss: float


class Case:
    """A method under trial. What several checks need is done once, and its failure told to each of them."""

    def __init__(self, card: Card, half: TorchHalf, bench: Bench, scratch: Path) -> None:
        self.card = card
        self.half = half
        self.bench = bench
        self._scratch = scratch
        self._numbers = itertools.count()
        self._done: dict[str, Any] = {}

    @property
    def packed(self) -> bool:
        """Whether the method trains on a 4-bit base alone; then everything but merging is tried on one."""
        return self.card.needs.quantized_base

    def recipe(
        self, steps: int, settings: Mapping[str, Any] | None = None, *, packed: bool = False, **training: Any
    ) -> Recipe:
        """Write a complete recipe, in which a seed is all that is left to chance.

        Raises: Refusal: a setting is out of its range.
        """
        usual = {
            "max_steps": steps,
            "micro_batch": MICRO_BATCH,
            "accumulation": 1,
            "schedule": "constant",
            "warmup": 0.0,
            "length": LENGTH,
            "order": "shuffled",
            "precision": "float32",
            "activation_checkpointing": "off",
        }
        written = Recipe(
            model=Model(name=MODEL.name, quantization="nf4" if packed else "auto"),
            rows=ROWS,
            method=Method(name=self.card.name, settings=dict(settings or {})),
            training=Training(**{**usual, **training}),
            seeds=Seeds(training=SEED),
        )
        return complete_recipe(written, self.card, file="recipe")

    def base(self, compute: torch.dtype = torch.float32) -> nn.Module:
        """Give a fresh base model of the kind that the method trains on."""
        return self.bench.base(packed=self.packed, compute=compute)

    def attach(self, recipe: Recipe, base: nn.Module | None = None) -> Attached:
        """Put the method on a fresh base model as the worker does, rows shown and all.

        Raises: Shortfall: what comes back is no Attached; and whatever the half raises.
        """
        attached = self.attach_unseen(recipe, base)
        padding = self.bench.tokenizer.pad_token_id
        show_rows(attached, self.bench.shown, recipe.training.micro_batch, padding, CPU)
        return attached

    def attach_unseen(self, recipe: Recipe, base: nn.Module | None = None) -> Attached:
        """Attach, and don't show the rows yet."""
        set_seed(recipe.seeds.training)
        attached: object = self.half.attach(self.base() if base is None else base, recipe)
        if not isinstance(attached, Attached):
            raise Shortfall(f"attach gave back {type(attached).__name__}, and the contract asks for Attached")
        return attached

    def fitting(self, steps: int, attempt: Callable[[int], Found]) -> Found:
        """Try with a run of so many steps, or of twice as many and so on where the method refuses a short one."""
        while True:
            try:
                return attempt(steps)
            except Refusal:
                if steps * 2 > MOST_STEPS:
                    raise
                steps *= 2

    def train(self, recipe: Recipe, attached: Attached, *, folder: Path | None = None, **pace: Any) -> Trained:
        """Take steps with the worker's trainer; `pace`: the fields of Pace."""
        return train(self.bench, recipe, attached, folder or self.folder(), Pace(**pace))

    def folder(self) -> Path:
        """Make a new empty folder."""
        made = self._scratch / f"{next(self._numbers)}"
        made.mkdir(parents=True)
        return made

    @property
    def untrained(self) -> Untrained:
        """The main run, attached and looked at."""
        return self._once("untrained", self._attach_main)

    @property
    def main(self) -> MainRun:
        """The main run, trained and saved."""
        return self._once("main", self._train_main)

    @property
    def adapter(self) -> Path:
        """The folder into which the half saved the main run's result."""
        return self._once("adapter", self._save_main)

    @property
    def steps(self) -> int:
        """Length of run that the method takes."""
        return self.untrained.recipe.training.max_steps or STEPS

    @property
    def compared(self) -> dict[str, Tensor]:
        """The batch whose logits are compared."""
        return self.bench.held_out_batch(COMPARED_ROWS)

    def forget(self) -> None:
        """Let go of the main run's models."""
        self._done.clear()

    def held_out_loss(self, attached: Attached) -> float:
        """Give the mean loss of the held-out rows."""
        return loss_of(attached.model, self.bench.held_out_batch(HELD_OUT_ROWS))

    def _once(self, name: str, work: Callable[[], Found]) -> Found:
        if name not in self._done:
            try:
                self._done[name] = work()
            except Exception as error:  # noqa: BLE001  # raised again for each check that needs it
                self._done[name] = error
        found = self._done[name]
        if isinstance(found, Exception):
            raise found
        return found

    def _attach_main(self) -> Untrained:
        return self.fitting(STEPS, self._attached_for)

    def _attached_for(self, steps: int) -> Untrained:
        base, recipe = self.base(), self.recipe(steps)
        base_logits = logits_of(base, self.compared)
        weights = BaseWeights(base)
        attached = self.attach(recipe, base)
        return Untrained(
            recipe=recipe,
            attached=attached,
            base=weights,
            after_attach=copied(tensors_of(attached.model)),
            trains=tuple(trained_weights(attached.model)),
            base_logits=base_logits,
            logits=logits_of(attached.model, self.compared),
            loss=self.held_out_loss(attached),
        )

    def _train_main(self) -> MainRun:
        begin = self.untrained
        run = self.train(begin.recipe, begin.attached)
        return MainRun(run, logits_of(begin.attached.model, self.compared), self.held_out_loss(begin.attached))

    def _save_main(self) -> Path:
        folder = self.folder()
        self.half.save(self.main.run.attached, folder)
        return folder
