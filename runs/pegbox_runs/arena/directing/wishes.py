"""What was asked of a comparison: heard, answered once each, and passed on to whatever runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal

from pegbox_methods.events import Continued, Paused
from pegbox_runs.arena.directing.answering import Situation, reply
from pegbox_runs.arena.directing.lanes import Lane
from pegbox_runs.supervision import replies
from pegbox_runs.supervision.ledger import Ledger
from pegbox_runs.supervision.mailbox import Mailbox

Memory = Literal["kept", "released"]


class Wishes:
    """Those that hold just now."""

    def __init__(self, ledger: Ledger, mailbox: Mailbox, terminated: Callable[[], bool]) -> None:
        """`terminated`: whether this process was told to end, which is as good as a `stop`."""
        self._ledger = ledger
        self._mailbox = mailbox
        self._terminated = terminated
        self._paused_at = 0.0
        self.ending: Literal["stop", "abort"] | None = None
        self.paused: Memory | None = None

    def stay_paused(self, memory: Memory, done: int) -> None:
        """Keep to a pause that a director who was killed had told."""
        self._pause(memory, done)

    def heed(self, lanes: Sequence[Lane], done: int) -> None:
        """Answer what came, and pass it on. `lanes`: all; `done`: entries that are."""
        busy = [lane for lane in lanes if lane.entry is not None]
        if self._terminated() and self.ending is None:
            self._end("stop", busy)
        for command in self._mailbox.unanswered(self._ledger.answered):
            event, effect = reply(command, self._situation, carrying=bool(busy))
            self._ledger.tell(event)
            self._mailbox.close(command)
            match effect:
                case "stop" | "abort":
                    self._end(effect, busy)
                case "pause" | "pause-release":
                    self._pause("kept" if effect == "pause" else "released", done)
                case "resume":
                    self.paused = None
                    self._ledger.tell(Continued(step=done, seconds=time.monotonic() - self._paused_at))
            if effect not in {None, "stop", "abort"}:
                for lane in busy:
                    lane.ask(command.command)
            if effect == "pause-release":
                for lane in lanes:
                    lane.release()

    def refuse_rest(self) -> None:
        """Answer what came too late."""
        for command in self._mailbox.unanswered(self._ledger.answered):
            self._ledger.tell(replies.too_late(command))
            self._mailbox.close(command)

    @property
    def _situation(self) -> Situation:
        if self.ending is not None:
            return "ending"
        return "running" if self.paused is None else "paused" if self.paused == "kept" else "released"

    def _end(self, how: Literal["stop", "abort"], lanes: Sequence[Lane]) -> None:
        self.ending = how
        for lane in lanes:
            lane.ask(how)

    def _pause(self, memory: Memory, done: int) -> None:
        self._paused_at = self._paused_at if self.paused else time.monotonic()
        self.paused = memory
        self._ledger.tell(Paused(step=done, memory=memory))
