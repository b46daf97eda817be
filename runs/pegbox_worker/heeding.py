"""What was asked of a run, done at a step's end: there the trainer can still be made to evaluate, save and end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from transformers import TrainerControl, TrainerState

from pegbox_methods.events import Event
from pegbox_worker import report_notices
from pegbox_worker.heard import Heard
from pegbox_worker.trainer import MeasuredTrainer

Reason = Literal["planned", "asked", "ending", "pause"]


class StepsEnd:
    """Lets the trainer do what was asked for. It is open from where a step was told until the next one begins.

    Several processes come here alike, and each of their questions is answered alike: see `Heard`.
    """

    trainer: MeasuredTrainer | None = None
    saved_step = -1
    """Which step the newest checkpoint has."""

    def __init__(self, control: Heard, tell: Callable[[Event], None]) -> None:
        self._control, self._tell = control, tell
        self._open = False
        self._reason: Reason = "planned"

    def close(self) -> None:
        """Forget what was asked of the step before; heed nothing until the next one's end."""
        self._open, self._reason = False, "planned"

    def come(self, state: TrainerState, control: TrainerControl, *, wished: bool) -> None:
        """Heed what is asked for, where there is anything, once a step was told."""
        self._open = True
        if wished or state.global_step >= state.max_steps:
            self.heed(state, control)
        else:
            self._tell_reason()

    def heed(self, state: TrainerState, control: TrainerControl) -> None:
        """Wait where the run is paused, then make the trainer save and end as it was asked to."""
        if not self._open:
            return
        while True:
            self._control.wait_while_paused(state.global_step, self._tell)
            if self._control.wants_checkpoint():
                self._reason = "asked"
                control.should_save = True
            self._end_if_told(state, control)
            if not control.should_training_stop or self._control.releasing or control.should_evaluate:
                break
            if self._control.training_is_over():  # not where another pause was asked for just now
                break
        control.should_save = control.should_save or control.should_training_stop
        self._tell_reason()

    def saved(self, state: TrainerState, control: TrainerControl) -> None:
        """Go on with a pause in which a checkpoint was asked for; leave only behind a checkpoint that is there."""
        if not self._open or state.global_step >= state.max_steps:
            return
        self._keep_if_unsaved(state, control)
        self._control.wait_while_paused(state.global_step, self._tell)
        while self.saved_step != state.global_step and self._asked_again():
            self._reason = "pause" if self._control.releasing else "asked"
            self._save_now()
            self._keep_if_unsaved(state, control)
            self._control.wait_while_paused(state.global_step, self._tell)
        self._control.wants_checkpoint()  # it is there
        self._end_if_told(state, control)

    def _end_if_told(self, state: TrainerState, control: TrainerControl) -> None:
        if state.global_step >= state.max_steps and self._control.releasing:
            self._control.stay(paused=False)  # what is left is done sooner than undone and taken up again
        if self._control.stopping or state.global_step >= state.max_steps:
            self._reason = "ending"
            control.should_training_stop = True
        elif self._control.releasing:
            self._reason = "pause"
            self._control.leave()
            control.should_training_stop = True

    def _keep_if_unsaved(self, state: TrainerState, control: TrainerControl) -> None:
        """Stay, with the memory kept, where releasing it would lose steps."""
        if self._control.releasing and self.saved_step != state.global_step:
            self._control.stay(paused=True)
            control.should_training_stop = False
            self._tell(report_notices.not_released())

    def _asked_again(self) -> bool:
        return self._control.wants_checkpoint() or self._control.releasing

    def _save_now(self) -> None:
        """Try once more to write the checkpoint of this step, which its evaluation belongs to already."""
        if self.trainer is not None:
            self._tell_reason()
            self.trainer._save_checkpoint(self.trainer.model, None)

    def _tell_reason(self) -> None:
        if self.trainer is not None:
            self.trainer.checkpoint_reason = self._reason
