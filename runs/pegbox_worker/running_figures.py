"""What a run has come to in numbers, as far as they go on from one of its workers to the next."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pegbox_runs.checkpoints import Progress


@dataclass
class RunningFigures:
    """Sums over the steps, and the losses that later ones are compared with. Infinite: there was none yet."""

    tokens: int = 0
    padding: int = 0
    training_seconds: float = 0.0
    untrained_loss: float = math.inf
    best_loss: float = math.inf
    best_step: int | None = None

    def evaluated(self, step: int, loss: float) -> bool:
        """Take an evaluation. Returns: whether the trained model was never better."""
        if step == 0:
            self.untrained_loss = loss
        if step == 0 or loss >= self.best_loss:
            return False
        self.best_loss, self.best_step = loss, step
        return True

    def progress(self, step: int) -> Progress:
        """Write them down, for a checkpoint."""
        return Progress(
            step=step,
            tokens=self.tokens,
            padding=self.padding,
            training_seconds=self.training_seconds,
            untrained_loss=_finite(self.untrained_loss),
            best_loss=_finite(self.best_loss),
            best_step=self.best_step,
        )

    @classmethod
    def of(cls, progress: Progress) -> RunningFigures:
        """Take them up again."""
        return cls(
            tokens=progress.tokens,
            padding=progress.padding,
            training_seconds=progress.training_seconds,
            untrained_loss=math.inf if progress.untrained_loss is None else progress.untrained_loss,
            best_loss=math.inf if progress.best_loss is None else progress.best_loss,
            best_step=progress.best_step,
        )


def _finite(loss: float) -> float | None:
    return loss if math.isfinite(loss) else None
