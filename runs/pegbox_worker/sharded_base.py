"""What a base model says and is worth of which each process holds a part: it is looked at once it is parted, below the
adapter that it has by then. Before that it lies whole on the processor, where its answers might take hours.
"""

from __future__ import annotations

from typing import Any

from peft import PeftModel
from torch import nn
from transformers import TrainerCallback

from pegbox_methods.card import Card
from pegbox_methods.events import Notice
from pegbox_worker.hands import Hands
from pegbox_worker.judge import Judge
from pegbox_worker.random_state import chance_put_aside
from pegbox_worker.samples import Sampler
from pegbox_worker.sharded import adapter_aside


class LookAtPartedBase(TrainerCallback):
    """Looks before the first step. All processes do, and go through the same passes."""

    def __init__(self, hands: Hands, card: Card, judge: Judge | None, sampler: Sampler | None) -> None:
        """Make it. `judge`, `sampler`: None: nobody wants it judged, or asked."""
        self._hands = hands
        self._card = card
        self._judge = judge
        self._sampler = sampler
        self._looked = False

    def on_train_begin(self, *_: Any, model: nn.Module, **__: Any) -> None:
        """Look. Raises: Diverged: a loss is no finite number; OutOfMemoryAt."""
        self.look(model)
        self._hands.reporter.phase("training")

    def look(self, model: nn.Module) -> None:
        """Look once, and leave chance where it stood; say so where the base can't be seen.

        Raises: Diverged: a loss is no finite number; OutOfMemoryAt.
        """
        if self._looked or (self._judge is None and self._sampler is None):
            return
        self._looked = True
        if not isinstance(model, PeftModel) or "base" in self._card.cannot:
            self._tell_unseen()
            return
        with chance_put_aside(), adapter_aside(model):
            if self._judge is not None:
                self._judge.before(model, parted=True)
            if self._sampler is not None and not self._hands.control.stopping:
                self._sampler.ask(model, 0, self._hands.writer)

    def _tell_unseen(self) -> None:
        text = (
            "the base model is neither asked nor judged: no process holds the whole of it, and what the method "
            f'"{self._card.name}" trains can\'t be put aside. `pegbox evaluate` judges the adapter and its base on one '
            "device."
        )
        self._hands.writer.emit(Notice(text=text, about="not-judged"))
        if self._judge is not None:
            self._judge.leave_out()
