"""One opinion of all processes on what the run was asked to do: the leading one hears, all do it in the same step."""

from __future__ import annotations

from collections.abc import Callable

from pegbox_methods.events import Event
from pegbox_runs.crew.rank_files import Doing
from pegbox_worker.control import Control
from pegbox_worker.ranks.beating import Beat
from pegbox_worker.ranks.group import Group

TURN_SECONDS = 5.0
"""How long the others hear nothing in a pause: a connection that is silent for longer, somebody may cut."""


class AgreedControl:
    """Control as all processes see it. Each answer is that of the leading process, at one moment.

    All ask the same, in the same order, and do the same by it, so the next question is the same again. An answer costs
    a message of eight bytes; `wished` says without one, to the leading process alone, whether asking is worth it.
    """

    def __init__(self, group: Group, here: Control | None, beat: Beat) -> None:
        """Make it. `here`: what hears; only the leading process has it."""
        self._group, self._here, self._beat = group, here, beat
        self._resting = False

    @property
    def stopping(self) -> bool:
        """Ask whether the run shall end after the current step."""
        return self._agreed(lambda here: here.stopping)

    @property
    def stopping_here(self) -> bool:
        """Say it by what this process hears."""
        self._beat.advance()
        return self._here is not None and self._here.stopping

    @property
    def releasing(self) -> bool:
        """Ask whether the processes shall end behind a checkpoint, and the run wait without them."""
        return self._agreed(lambda here: here.releasing)

    @property
    def resting(self) -> bool:
        """Say whether this process is held up by a pause."""
        return self._resting

    @property
    def wished(self) -> bool:
        """Say whether this process knows of anything to do at a step's end."""
        return self._here is not None and self._here.wished

    def wants_checkpoint(self) -> bool:
        """Ask whether a checkpoint was asked for since the last call."""
        return self._agreed(lambda here: here.wants_checkpoint())

    def advanced(self, step: int, training_seconds: float) -> None:
        """Tell how far the run has come."""
        self._beat.done(step)
        if self._here is not None:
            self._here.advanced(step, training_seconds)

    def saved(self, step: int) -> None:
        """Tell which step the newest checkpoint has."""
        if self._here is not None:
            self._here.saved(step)

    def training_is_over(self) -> bool:
        """Take no pause and no checkpoint from now on. Returns: False where one must be seen to first."""
        return self._agreed(lambda here: here.training_is_over())

    def leave(self) -> None:
        """Let no `resume` take the release back any more."""
        if self._here is not None:
            self._here.leave()

    def stay(self, *, paused: bool) -> None:
        """Give the release up."""
        if self._here is not None:
            self._here.stay(paused=paused)

    def release(self, step: int) -> bool:
        """Say that the run is paused without its processes, unless a `stop` came in between."""
        return self._agreed(lambda here: here.release(step))

    def wait_while_paused(self, step: int, tell: Callable[[Event], None]) -> None:
        """Hold all processes up as long as the leading one is; it says so every few seconds."""
        if self._here is not None:
            self._here.pause_begins(step, tell)
        before: Doing = self._beat.at
        while self._agreed(lambda here: here.held_up(TURN_SECONDS)):
            if not self._resting:
                self._resting = True
                self._beat.doing("paused")
        if self._resting:
            self._resting = False
            self._beat.doing(before)
        if self._here is not None:
            self._here.pause_ends(step, tell)

    def _agreed(self, ask: Callable[[Control], bool]) -> bool:
        said = self._here is not None and ask(self._here)
        (agreed,) = self._group.total([float(said)])
        self._beat.advance()
        return bool(agreed)
