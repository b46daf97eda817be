"""The other half of a method: what the worker calls. Types only; torch is named, never loaded."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from pegbox_methods.card import Card
from pegbox_methods.events import Check, Event
from pegbox_methods.fence import one_line_of
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor, nn
    from torch.optim import Optimizer
    from transformers import TrainerCallback


class BrokenPromise(Exception):
    """A method found at work that it doesn't do what it says; the run ends with this sentence, and isn't tried anew."""


class Stateful(Protocol):
    """What a method must remember from step to step beside its weights and the optimizer's state.

    It is written into every checkpoint and given back when a run resumes, so that the resumed run is the same.
    """

    def state_dict(self) -> Mapping[str, Tensor]:
        """Give all of it, as it is after the last step."""

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state_dict` gave."""


@dataclass(frozen=True, kw_only=True)
class Attached:
    """A model with the method on it, and what must run beside it."""

    model: nn.Module
    """A PeftModel, or the base model itself, a PreTrainedModel, changed in place: TRL asks either for its config
    and its output embeddings. On a CPU the loss is taken from its backbone and head only where that gives the
    model's own loss, so a method may change either."""
    callbacks: tuple[TrainerCallback, ...] = ()
    optimizer: Optimizer | None = None
    """None: the trainer makes the one the recipe names."""
    added_loss: Callable[[], Tensor] | None = None
    """A scalar added to every micro-batch's loss, and kept out of the loss that is reported."""
    look: Callable[[Iterable[Mapping[str, Tensor]]], None] | None = None
    """Called once, before the first step, by a method that begins from the rows: gets micro-batches of training rows
    (`input_ids`, `attention_mask`, `labels`, each (rows, positions), on the model's device), and takes as many as it
    wants."""
    state: Stateful | None = None
    tell: Callable[[int], Iterable[Event]] | None = None
    """Called after each step with its number; gives the events that the method has to tell of it."""
    inspect: Callable[[int], Iterable[Check]] | None = None
    """Called by the sentinel with the number of the step just done: at the end of its window of 20 steps, at every
    evaluation, and at the run's end. The method says by itself whether it does what it promises: `failed` ends the run,
    `unsure` becomes a notice. Looking must change nothing, and draw no random number."""


class TorchHalf(Protocol):
    """The verbs of a method."""

    def attach(self, model: nn.Module, recipe: Recipe) -> Attached:
        """Put the method on a base model. The seed is set already; the base model may be changed in place.

        In `recipe`, the method's settings are complete, and `training.max_steps` is the number of steps that the run
        will take, counted from its rows: a method with a schedule divides that. `training.learning_rate` is given.

        Raises: Refusal: the model lacks what a setting names.
        """

    def save(self, attached: Attached, folder: Path) -> None:
        """Write the adapter, and only it, into an existing empty folder, as safetensors."""

    def load(self, model: nn.Module, folder: Path) -> nn.Module:
        """Put a saved adapter on a base model, for evaluation and generation."""

    def merge(self, model: nn.Module) -> nn.Module:
        """Fold a loaded adapter into the base model's own weights.

        Raises: Refusal: the base model is quantized; it must be loaded in full precision for this.
        """


def load_torch_half(card: Card) -> TorchHalf:
    """Import a card's torch half.

    Raises: Refusal: it can't be imported, or there is no such object.
    """
    module, _, name = card.torch_half.partition(":")
    try:
        half: Any = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:  # a guest may raise anything
        raise Refusal(
            f'the method "{card.name}" can\'t be loaded: its torch half {card.torch_half}: {one_line_of(error)}. '
            "Mend or remove its plugin, or take another method."
        ) from error
    return cast(TorchHalf, half)
