"""What the job asks of whoever hears the run's commands: one process' own ear, or all processes' agreed opinion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pegbox_methods.events import Event


class Heard(Protocol):
    """Control's answers. Where several processes carry a run, each but `resting`, `stopping_here` and what gives
    nothing back is asked by all of them, in the same order, and all get the same answer.
    """

    @property
    def stopping(self) -> bool:
        """Whether the run shall end after the current step."""

    @property
    def stopping_here(self) -> bool:
        """The same as this process knows it, for what it does while the others wait for it."""

    @property
    def releasing(self) -> bool:
        """Whether the worker shall end behind a checkpoint, and the run wait without it."""

    @property
    def resting(self) -> bool:
        """Whether the trainer is held up by a pause just now."""

    @property
    def wished(self) -> bool:
        """Whether this process knows of anything to do at a step's end."""

    def wants_checkpoint(self) -> bool:
        """Tell whether a checkpoint was asked for since the last call."""

    def advanced(self, step: int, training_seconds: float) -> None:
        """Take how far the run has come."""

    def saved(self, step: int) -> None:
        """Take which step the newest checkpoint has."""

    def training_is_over(self) -> bool:
        """Take no pause and no checkpoint from now on. Returns: False where one must be seen to first."""

    def leave(self) -> None:
        """Let no `resume` take the release back any more."""

    def stay(self, *, paused: bool) -> None:
        """Give the release up."""

    def release(self, step: int) -> bool:
        """Say that the run is paused without its worker, unless a `stop` came in between."""

    def wait_while_paused(self, step: int, tell: Callable[[Event], None]) -> None:
        """Hold the caller up at a step's end as long as the run is paused with its memory kept."""
