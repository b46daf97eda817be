"""What a run's worker was asked for and hasn't done yet: every command changes it, and says what will come of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pegbox_methods.events import CommandAnswer
from pegbox_runs.commands import Command, answer, unknown
from pegbox_worker.stop_flag import StopFlag

AT_STEPS = frozenset({"pause", "pause-release", "checkpoint"})
"""What is done at a step's end."""
Said = tuple[bool, str]
"""Whether a command is taken, and what will happen or why not."""


@dataclass
class Wishes:
    """Not safe for threads by itself: Control holds its lock around every call.

    Each command may come any number of times, at any time. A later one counts more than an earlier one, but for `stop`,
    which nothing takes back: its viewer was told that the run ends.
    """

    stop: StopFlag
    pausing: bool = False
    """Wait at the next step's end, memory kept."""
    releasing: bool = False
    """End the worker at the next step's end, behind a checkpoint."""
    checkpoint: bool = False
    """Write one at the next step's end."""
    waiting: bool = False
    """The trainer is held up at a step's end just now."""
    step: int = 0
    """Steps that are done."""
    saved_step: int = -1
    """Steps that the newest checkpoint has."""
    over: bool = False
    """The last step is done: what is left is the closing evaluation and the adapter."""
    training: bool = False
    """Whether this worker has done a step; until then wishes wait for the end of its first."""
    _answers: dict[str, Callable[[], Said]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Name what answers what."""
        self._answers = {
            "stop": self._stop,
            "pause": self._pause,
            "pause-release": self._release,
            "resume": self._resume,
            "checkpoint": self._checkpoint,
        }

    def take(self, command: Command) -> CommandAnswer:
        """Heed a command, and make its answer. `abort` isn't a wish: whoever hears it ends the process."""
        if command.command not in self._answers:
            return unknown(command)
        if self.over and command.command in AT_STEPS:
            return answer(command, "the training is done; the run is saving its adapter", taken=False)
        taken, text = self._answers[command.command]()
        return answer(command, text, taken=taken)

    def _stop(self) -> Said:
        if self.stop.raised:
            return True, "the run is stopping already"
        self.stop.raised = True
        self.pausing = self.releasing = False
        if self.over:
            return True, "the training is done; the run saves its adapter and ends"
        if not self.training and not self.step:
            return True, "the run ends before its first step"
        return True, "the run finishes its step, saves and ends"

    def _pause(self) -> Said:
        if self.stop.raised:
            return False, "the run is stopping; there is nothing left to pause"
        self.pausing, self.releasing = True, False
        if self.waiting:
            return True, "the run is paused already"
        return True, f"the run pauses after {self._this_step()}, with its memory kept"

    def _release(self) -> Said:
        if self.stop.raised:
            return False, "the run is stopping; there is nothing left to pause"
        self.pausing, self.releasing = False, True
        return True, f"the run writes a checkpoint after {self._this_step()}, and frees its memory until it is resumed"

    def _resume(self) -> Said:
        if self.stop.raised:
            return False, "the run is stopping; once it has ended, it can be continued"
        if not (self.pausing or self.releasing or self.waiting):
            return True, "the run isn't paused; it goes on"
        self.pausing = self.releasing = False
        return True, "the run goes on"

    def _checkpoint(self) -> Said:
        if self.waiting and self.saved_step == self.step:
            return True, f"the checkpoint of step {self.step} is there already"
        if self.checkpoint:
            return True, "a checkpoint is asked for already; it comes at the step's end"
        self.checkpoint = True
        return True, f"a checkpoint will be written after {self._this_step()}"

    def _this_step(self) -> str:
        """Name the step at whose end a wish comes true."""
        if not self.training:
            return "the first step that this worker takes"
        return f"step {self.step if self.waiting else self.step + 1}"
