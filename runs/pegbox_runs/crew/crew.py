"""One worker of a run that is several processes: they are started, watched, and ended together, and their end told."""

from __future__ import annotations

import os
import signal
import socket
import time
import traceback
from typing import Literal

from pegbox_methods.events import Event, WorkerFailed
from pegbox_methods.refusal import Refusal
from pegbox_runs.changes import current_recipe
from pegbox_runs.commands import answer, send
from pegbox_runs.crew.blaming import Ends, blame
from pegbox_runs.crew.gpus import launch_here
from pegbox_runs.crew.launched import Launched
from pegbox_runs.crew.leftovers import end_those_left
from pegbox_runs.crew.meeting import Meeting
from pegbox_runs.crew.nodes.words import Word
from pegbox_runs.crew.sight import Sight
from pegbox_runs.crew.watching import Broken, judge
from pegbox_runs.printable import one_line
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision.guard import SupervisorGuard
from pegbox_runs.supervision.ledger import Ledger
from pegbox_runs.supervision.mailbox import Mailbox
from pegbox_runs.supervision.oom_killer import kill_counts, killed_for_memory
from pegbox_runs.supervision.policy import NEVER_AGAIN
from pegbox_runs.supervision.telling import finished, where

WAKE_SECONDS = 0.2
LOOK_SECONDS = 1.0
LEAVING_SECONDS = 20.0
"""How long processes may take to end by themselves once the run's end, or its pause, is told."""
NEWS_SECONDS = 3.0
"""How long the reason may be on its way from another machine, where a process of this one only lost it."""

End = Literal["over", "released", "ended", "failed"]


class Crew:
    """Carries one attempt at a run."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._ledger = Ledger(folder)
        started = self._ledger.state.started
        self._attempt = started.attempt if started is not None else 1
        self._guard = SupervisorGuard(folder, self._say, os.getppid() if started is None else started.supervisor_pid)
        self._kills = kill_counts(os.getpid())
        self._mailbox = Mailbox(folder.commands)
        self._stop = self._stop_sent = False
        self._unsaid: list[Event] = []
        """What can't be told as long as the leading process writes the log."""

    def carry(self) -> int:
        """Start the processes and see them to their end. Returns: 0 if that was the run's, or a pause's, or theirs."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told_to_stop)
        meeting = Meeting(self._folder, self._attempt)
        try:
            end_those_left(self._folder.path)
            recipe = current_recipe(self._folder)
            nodes = meeting.look_up()
            mine = launch_here(self._folder.path, self._attempt, recipe.devices, nodes=nodes, recipe=recipe)
            launch = meeting.await_all(mine, self._is_called_off, lambda notice: self._ledger.tell(notice))
            launched = None if launch is None else Launched.start(launch)
        except (Refusal, OSError) as error:
            self._ledger.tell(_not_started(error))
            meeting.close("refused" if isinstance(error, Refusal) else "failed")
            return 1
        if launched is None:
            meeting.close("stopped")
            return 0
        return self._seen_to_the_end(launched, meeting)

    def _seen_to_the_end(self, launched: Launched, meeting: Meeting) -> int:
        launch = launched.launch
        sight = Sight(self._folder, self._attempt, launch.processes, time.monotonic(), launch.local_ranks)
        try:
            end, broken = self._watch(launched, meeting, sight)
        except BaseException as error:  # noqa: BLE001  # nobody may go on with the run beside the next worker
            traceback.print_exc()
            said = one_line(f"{type(error).__name__}: {error}", 300)
            end, broken = "failed", Broken(None, f"the process that watches over the run's processes failed: {said}")
        if broken is not None and broken.gone:
            launched.make_it_speak(sight.here)
        code = launched.poll()
        exits = [*launched.exits(), *meeting.exits()]  # now: those that are killed below say nothing
        gone = launched.kill(ranks=sight.here) and meeting.kill()
        if end != "failed" or self._ended_after_all():
            meeting.close(self._last_word(end))
            return 0
        sight.look(time.monotonic())
        rose, evidence = killed_for_memory(self._kills)
        word = self._tell_failure(
            Ends(
                records=sight.records,
                exits=exits,
                launcher=code,
                last_words=launched.last_words(),
                broken=broken if gone else broken or _not_gone(),
                host=socket.gethostname(),
                memory=evidence if rose else "",
            )
        )
        meeting.close(word)
        return 1

    def _watch(self, launched: Launched, meeting: Meeting, sight: Sight) -> tuple[End, Broken | None]:
        """Look at them until they are gone, or have to go."""
        look_at, leaving = 0.0, None
        while True:
            time.sleep(WAKE_SECONDS)
            now = time.monotonic()
            self._pass_on_stop()
            code = launched.poll()
            if code is None and now < look_at:
                continue
            look_at = now + LOOK_SECONDS
            self._guard.look()
            facts = sight.look(now)
            self._ledger.read()
            if (end := self._told()) is not None:
                leaving = leaving or now + (0.0 if self._aborted else LEAVING_SECONDS)
                if code is not None or now >= leaving or sight.all_gone:
                    return end, None  # the launcher alone would take some seconds more to leave
                look_at = now
                continue
            if code is not None:
                return self._after_launcher(code, meeting)
            if (broken := judge(facts) or meeting.broken()) is not None:
                return "failed", broken

    def _after_launcher(self, code: int, meeting: Meeting) -> tuple[End, Broken | None]:
        """Decide once this machine's launcher is gone: it ends first where its own process was the one that failed."""
        until = time.monotonic() + (NEWS_SECONDS if code else LEAVING_SECONDS)
        while (broken := meeting.broken()) is None and not meeting.all_ended and time.monotonic() < until:
            time.sleep(WAKE_SECONDS)
        return ("failed", broken) if code or broken is not None else ("ended", None)

    def _told(self) -> End | None:
        """Say which end the leading process told, if any."""
        attempts = self._ledger.attempts
        if attempts.over:
            return "over"
        return "released" if attempts.paused is not None and attempts.paused.memory == "released" else None

    @property
    def _aborted(self) -> bool:
        return self._ledger.attempts.asked == "abort"

    def _ended_after_all(self) -> bool:
        """Tell whether the log holds an end that was told in the last moment."""
        self._ledger.read()
        return self._told() is not None

    def _last_word(self, end: End) -> Literal["finished", "stopped", "aborted", "failed", "paused"]:
        ended = self._ledger.state.ended
        if end == "released":
            return "paused"
        reason = getattr(ended, "reason", None)
        return {"stopped": "stopped", "aborted": "aborted"}.get(str(reason), "finished")  # type: ignore[return-value]

    def _tell_failure(self, ends: Ends) -> Word:
        """Write down who failed, and why: the log is this process' to write now. Returns: what other machines hear."""
        ledger = self._ledger
        ledger.read()
        ranks, failed = blame(ends, where(ledger.state), ledger.state.steps_done)
        ledger.tell(*self._unsaid, *ranks, failed)
        return "failed" if failed.kind in NEVER_AGAIN or failed.kind == "disk" else "again"

    def _told_to_stop(self, *_: object) -> None:
        self._stop = True

    def _is_called_off(self) -> bool:
        """Tell whether nothing shall be started any more, while other machines are waited for.

        An abort needs nobody here: the supervisor ends this process.
        """
        self._guard.look()
        ledger = self._ledger
        for command in self._mailbox.unanswered(ledger.answered):
            if command.command == "stop":
                ledger.tell(answer(command, "the run ends before its processes have begun", taken=True))
                ledger.tell(finished("stopped", ledger.state))
                return True
        return self._stop

    def _pass_on_stop(self) -> None:
        """Let the leading process hear what a signal asks for, as a person's command."""
        if self._stop and not self._stop_sent:
            self._stop_sent = True
            try:
                send(self._folder.commands, "stop")
            except OSError:
                traceback.print_exc()

    def _say(self, event: Event) -> None:
        self._unsaid.append(event)
        print(getattr(event, "text", event), flush=True)


def _not_started(error: Refusal | OSError) -> WorkerFailed:
    if isinstance(error, Refusal):
        remedy = "Mend what the sentence names, and continue the run."
        return WorkerFailed(kind="refused", what=error.sentence, where="starting", remedy=remedy)
    what = f"the run's processes couldn't be started: {error}"
    return WorkerFailed(kind="error", what=what, where="starting", remedy="See that the system takes new processes.")


def _not_gone() -> Broken:
    return Broken(None, "a process that was killed isn't gone: the system holds it in a disk's or a driver's work")
