"""How a worker hears: a thread of its own reads the run's commands, however long a step takes or an import.

Nothing here imports torch: it listens before that is loaded.
"""

from __future__ import annotations

import math
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterable

from pegbox_methods.events import Continued, Event, Finished, Notice, Paused
from pegbox_runs.commands import COMMANDS, Command, CommandReader, answer
from pegbox_runs.event_log import EventWriter
from pegbox_runs.printable import one_line
from pegbox_runs.run_folder import RunFolder
from pegbox_worker.last_words import write_last
from pegbox_worker.stop_flag import StopFlag
from pegbox_worker.wishes import Wishes

POLL_SECONDS = 0.2
ABORT_SECONDS = 2.0
"""For how long an aborted worker tries to write its last words: its supervisor kills it after 5 s without an answer."""
LOOK_SECONDS = 1.0
"""How often it looks whether the supervisor lives."""
LEAVING = frozenset(COMMANDS) - {"abort", "stop"}
LEFT = frozenset(COMMANDS) - {"abort"}


class Control:
    """Answers a run's commands, once each, and keeps what they ask for until the trainer gets there.

    Without `listen` nothing runs beside the caller, who may `poll` himself.
    """

    def __init__(
        self,
        folder: RunFolder,
        writer: EventWriter,
        stop: StopFlag,
        *,
        answered: Iterable[str] = (),
        steps_done: int = 0,
        guard: Callable[[], None] | None = None,
    ) -> None:
        """Make it. `answered`: the ids that earlier workers answered; `steps_done`: what they had done; `guard`: what
        sees to it that the run has a supervisor.
        """
        self._reader = CommandReader(folder.commands, answered, self._distrust)
        self._writer = writer
        self._wishes = Wishes(stop, step=steps_done)
        self._guard = guard
        self._lock = threading.RLock()
        self._changed = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._unheard: frozenset[str] = frozenset()
        self._deferred: list[Command] = []
        self._paused_at = 0.0
        """Monotonic seconds; 0: it isn't paused."""
        self._training_seconds = 0.0
        self._troubles: set[str] = set()

    def listen(self) -> None:
        """Start the thread. It ends with the process, or with `close`."""
        self._thread = threading.Thread(target=self._listen, name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hear no more; what comes later is for the supervisor to answer."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)
            self._thread = None

    @property
    def stopping(self) -> bool:
        """Whether the run shall end after the current step."""
        return self._wishes.stop.raised

    @property
    def stopping_here(self) -> bool:
        """The same: there is no other process to agree with."""
        return self.stopping

    @property
    def wished(self) -> bool:
        """Whether there is anything to do at a step's end."""
        wishes = self._wishes
        return wishes.stop.raised or wishes.pausing or wishes.releasing or wishes.checkpoint or self.resting

    @property
    def releasing(self) -> bool:
        """Whether the worker shall end behind a checkpoint, and the run wait without it."""
        return self._wishes.releasing and not self.stopping

    @property
    def resting(self) -> bool:
        """Whether the trainer is held up by a pause just now."""
        return self._paused_at > 0

    def wants_checkpoint(self) -> bool:
        """Tell whether a checkpoint was asked for since the last call."""
        with self._lock:
            wanted, self._wishes.checkpoint = self._wishes.checkpoint, False
            return wanted

    def advanced(self, step: int, training_seconds: float) -> None:
        """Take how far the run has come."""
        with self._lock:
            self._wishes.step, self._wishes.training = step, True
            self._training_seconds = training_seconds
            if any(command.after == step for command in self._deferred):
                self.poll()

    def saved(self, step: int) -> None:
        """Take which step the newest checkpoint has."""
        with self._lock:
            self._wishes.saved_step = step

    def training_is_over(self) -> bool:
        """Take no pause and no checkpoint from now on: no step's end comes any more at which to do it.

        Returns: False where one was taken just before, and must be seen to first.
        """
        with self._lock:
            if not self.stopping and (self._wishes.pausing or self._wishes.releasing):
                return False
            self._wishes.over = True
            self._wishes.checkpoint = False
            return True

    def leave(self) -> None:
        """Let no `resume` take the release back any more: the trainer ends behind this step. `release` or `stay` is
        next; until then what came is put by."""
        with self._lock:
            self._unheard = LEAVING

    def stay(self, *, paused: bool) -> None:
        """Give the release up: there is no checkpoint to come back to, or nothing is left to come back for."""
        with self._lock:
            self._unheard = frozenset()
            self._wishes.releasing, self._wishes.pausing = False, paused

    def release(self, step: int) -> bool:
        """Say that the run is paused without its worker, which ends now, unless a `stop` came in between.

        From then on only `abort` is heard; the supervisor answers the rest.
        """
        with self._lock:
            if not self.releasing:
                self._unheard = frozenset()
                return False
            self._unheard = LEFT
            self._writer.emit(Paused(step=step, memory="released"))
            return True

    def poll(self) -> bool:
        """Answer what came in since the last call. Returns: whether the run shall end."""
        with self._lock:
            came = [*self._deferred, *self._reader.new()]
            self._deferred = [command for command in came if self._waits(command)]
            self._heed([command for command in came if not self._waits(command)])
            return self.stopping

    def _waits(self, command: Command) -> bool:
        return command.command in self._unheard or command.after > self._wishes.step

    def wait_while_paused(self, step: int, tell: Callable[[Event], None]) -> None:
        """Hold the caller up at a step's end as long as the run is paused with its memory kept.

        Comes back also when a checkpoint is wanted; whoever wrote it waits again. `tell` is given `paused` when a pause
        begins and `continued` when it is over.
        """
        self.pause_begins(step, tell)
        while self.held_up(math.inf):
            pass
        self.pause_ends(step, tell)

    def pause_begins(self, step: int, tell: Callable[[Event], None]) -> None:
        """Tell `paused` where a pause was asked for, and isn't told yet."""
        if self._wishes.pausing and not self.stopping and not self._paused_at:
            self._paused_at = time.monotonic()
            with self._lock:
                self._wishes.waiting = True
            tell(Paused(step=step, memory="kept"))

    def held_up(self, seconds: float) -> bool:
        """Wait for so long where a pause was told. Returns: whether it goes on, and nothing else is to be done."""
        until = time.monotonic() + seconds
        while self._paused_at and self._wishes.pausing and not self.stopping and not self._wishes.checkpoint:
            if time.monotonic() >= until:
                return True
            self._changed.wait(POLL_SECONDS)
            self._changed.clear()
            if self._thread is None or not self._thread.is_alive():
                self.poll()
        return False

    def pause_ends(self, step: int, tell: Callable[[Event], None]) -> None:
        """Tell `continued` where the pause is over."""
        if self._paused_at and not (self._wishes.pausing and not self.stopping):
            seconds, self._paused_at = time.monotonic() - self._paused_at, 0.0
            with self._lock:
                self._wishes.waiting = False
            if not self.releasing:
                tell(Continued(step=step, seconds=seconds))

    def _listen(self) -> None:
        """Poll for ever: whatever goes wrong is told once, and the next round is tried."""
        look_at = 0.0
        while not self._closed.wait(POLL_SECONDS):
            try:
                self.poll()
                if self._guard is not None and time.monotonic() >= look_at:
                    look_at = time.monotonic() + LOOK_SECONDS
                    self._guard()
            except Exception as error:  # noqa: BLE001  # a deaf worker could not be stopped
                self._tell_trouble(error)

    def _heed(self, commands: list[Command]) -> None:
        for command in commands:
            if command.command == "abort":
                self._abort(command)
            self._writer.emit(self._wishes.take(command))
            self._changed.set()

    def _abort(self, command: Command) -> None:
        """End the process, wherever it is: what lies on disk is whole at any moment."""
        self._writer.emit(answer(command, "the run ends at once; what it hasn't saved is lost", taken=True))
        steps, seconds = self._wishes.step, self._training_seconds
        self._writer.emit(Finished(reason="aborted", steps=steps, kept_step=0, adapter=None, seconds=seconds))
        write_last(self._writer, ABORT_SECONDS)
        os._exit(0)

    def _distrust(self, why: str) -> None:
        self._writer.emit(Notice(text=why, about="commands-distrusted"))

    def _tell_trouble(self, error: Exception) -> None:
        name = type(error).__name__
        if name not in self._troubles:
            self._troubles.add(name)
            traceback.print_exc()
            text = f"the worker had trouble hearing commands and keeps trying ({name}: {one_line(str(error), 200)})"
            self._writer.emit(Notice(text=text, about="control-trouble"))
