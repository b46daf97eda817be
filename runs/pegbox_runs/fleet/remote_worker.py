"""A worker on another machine, as its director holds it: a post on a node, known by its file and by the cluster."""

from __future__ import annotations

import contextlib
import signal
import time
from dataclasses import dataclass

import msgspec

from pegbox_methods.events import Event, Notice, Paused
from pegbox_runs.commands import Command, CommandReader, answer
from pegbox_runs.event_log import EventReader
from pegbox_runs.fleet.cluster import Cluster, JobState, Post
from pegbox_runs.fleet.post_files import (
    SILENT_SECONDS,
    PostRecord,
    PostWanted,
    read_record_at,
    read_wanted,
    record_file,
    write_wanted,
)
from pegbox_runs.printable import one_line
from pegbox_runs.process_mark import NO_PID
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState, catch_up
from pegbox_runs.supervision.telling import tell
from pegbox_runs.supervision.worker_process import Exit

LOOK_SECONDS = 1.0
"""Between two looks at a post's file: there may be a thousand of them on one disk."""
SETTLING_SECONDS = 4.0
"""A post that the cluster gave up, and whose beat stood still for so long, writes no more."""
GIVEN_UP_SECONDS = 3 * SILENT_SECONDS
"""After so long a silence an entry goes on elsewhere, whatever the cluster says of its post."""
MOST_SUBMISSIONS = 4
"""Of one worker: a cluster goes on giving places on a node that is gone until it has seen that."""
AGAIN_SECONDS = 3.0
PAUSE_SECONDS, PATIENCE_SECONDS = 15.0, 1800.0
"""Between two submissions of what a cluster doesn't take, and for how long that goes on."""
ENDS_WAITING = {"stop", "pause", "pause-release"}


@dataclass(frozen=True)
class _Ended:
    """How a worker came to its end."""

    exit: Exit
    oom_killer: bool | None = None
    evidence: str = ""
    told: bool = False
    """Whether its post said so itself, and goes by itself."""


class RemoteWorker:
    """One worker, from its submission to its end. For one thread."""

    descriptor: int | None = None
    pid = NO_PID

    def __init__(self, cluster: Cluster, folder: RunFolder, wanted: PostWanted) -> None:
        self.mark = f"post:{wanted.ticket}"
        self._cluster = cluster
        self._folder = folder
        self._wanted = wanted
        self._file = str(record_file(folder, wanted.ticket))
        self._ended: _Ended | None = None
        self._look_at = 0.0
        self._submissions = 0
        self._cancelled = False
        self._refused = ""
        """Why the cluster didn't take it when it was submitted last; empty: it did."""
        self._refused_since = self._submit_at = 0.0
        self._record: PostRecord | None = None
        self._stands_since = time.monotonic()
        """Since when its beat stood still, as far as it could be read."""
        self._commands: CommandReader | None = None
        self._asked: Command | None = None
        """What was asked of it while it still waited for its place."""

    @property
    def gone(self) -> bool:
        """Whether it has ended, or is given up; looked at once a second."""
        if self._ended is None and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_SECONDS
            self._ended = self._look()
            if self._ended is not None and self._asked is not None:
                tell(self._folder, *_said_for(self._asked))
        return self._ended is not None

    @property
    def exit(self) -> Exit:
        """How it ended, once it is gone; nothing is known of one that was given up."""
        return Exit(None, None) if self._ended is None else self._ended.exit

    def killed_for_memory(self) -> tuple[bool | None, str]:
        """Tell whether it was killed for memory, as far as its node or the cluster says, and what says so; or where it
        was lost.
        """
        return (None, "") if self._ended is None else (self._ended.oom_killer, self._ended.evidence)

    def hand_over(self, folder: RunFolder) -> None:
        """Submit its post, which gets the run."""
        self._submissions += 1
        try:
            name = f"pegbox-{folder.id}"
            job = self._cluster.submit(Post(folder=folder.path, ticket=self._wanted.ticket, name=name))
            self._want(msgspec.structs.replace(self._wanted, job=job))
        except OSError as error:
            self._refused_by(error)
        else:
            self._refused = ""

    def _refused_by(self, error: OSError) -> None:
        """Wait with what the cluster doesn't take: its head begins anew, or so many jobs of one person are too many."""
        self._submissions -= 1
        why = f"{self._cluster.name} didn't take it: {one_line(str(error), 200)}"
        if not self._refused:
            self._refused_since = time.monotonic()
            text = f"{why}. It is asked again for {PATIENCE_SECONDS / 60:.0f} minutes."
            tell(self._folder, Notice(text=text, about="waits"))
        elif time.monotonic() - self._refused_since >= PATIENCE_SECONDS:
            self._ended = _Ended(Exit(None, None), False, why)
        self._refused = why
        self._submit_at = time.monotonic() + PAUSE_SECONDS

    def send(self, number: signal.Signals) -> None:
        """Send it a signal by way of its post; what kills goes by way of the cluster as well."""
        kills = number == signal.SIGKILL
        with contextlib.suppress(OSError):
            self._want(msgspec.structs.replace(self._wanted, signal="SIGKILL" if kills else "SIGTERM"))
        if kills and self._record is None:
            self._cancel()

    def dismiss(self) -> None:
        """Let one go that was never submitted."""

    def close(self) -> None:
        """Let go of it; what the cluster still holds of it is given back."""
        if self._ended is None or not self._ended.told:
            self._cancel()

    def leave_behind(self) -> None:
        """End it where another one shall take its place, and wait until it writes no more."""
        self._cancel()
        while not self.gone:
            time.sleep(LOOK_SECONDS)

    def _want(self, wanted: PostWanted) -> None:
        write_wanted(self._folder, wanted)
        self._wanted = wanted

    def _cancel(self) -> None:
        self._cancelled = True
        if self._wanted.job is not None:
            self._cluster.cancel(self._wanted.job)

    def _look_whether_taken(self) -> _Ended | None:
        """Submit again what the cluster didn't take, when it is time to; or let it be, if that is wished."""
        self._heed(JobState("waiting", self._refused))
        if self._cancelled:
            return _Ended(Exit(None, None), False, self._refused)
        if time.monotonic() >= self._submit_at:
            self.hand_over(self._folder)
        return self._ended

    def _look(self) -> _Ended | None:
        if self._refused and self._folder.path.exists():
            return self._look_whether_taken()
        # In this order: what a post wrote before the cluster saw its end is there to be read then.
        state = None if self._wanted.job is None else self._cluster.state(self._wanted.job)
        record = read_record_at(self._file)
        if record is None and not self._folder.path.exists():
            return _Ended(Exit(None, None), False, "its run was removed")
        if record is not None and record.ended:
            return _Ended(Exit(record.exit_code, record.signal), record.oom_killer, _on(record), told=True)
        now = time.monotonic()
        if record is None or self._record is None or record.beat != self._record.beat:
            self._stands_since = now
        self._record = record or self._record
        if state is None:
            return _Ended(Exit(None, None), False, "its director died while it was submitted")
        if self._record is None:
            if state.phase == "gone" and self._may_try_again:
                self._look_at = now + AGAIN_SECONDS
                self.hand_over(self._folder)
                return self._ended
            if state.phase == "gone":
                return _lost(state, "before it began")
            self._heed(state)
            return None
        return self._look_for_silence(state, self._record.host, now - self._stands_since)

    @property
    def _may_try_again(self) -> bool:
        wanted = read_wanted(self._folder)
        mine = wanted is not None and wanted.ticket == self._wanted.ticket
        return mine and not self._cancelled and 0 < self._submissions < MOST_SUBMISSIONS

    def _look_for_silence(self, state: JobState, host: str, silent: float) -> _Ended | None:
        """Judge a post that hasn't told its end. One whose file can't be read just now isn't silent."""
        if state.phase == "gone" and silent >= SETTLING_SECONDS:
            return _lost(state, f"on {one_line(host, 80)}")
        if silent >= SILENT_SECONDS:
            self._cancel()
        if silent >= GIVEN_UP_SECONDS:
            return _Ended(Exit(None, None), False, f"{one_line(host, 80)} wasn't heard of for {silent:.0f} s")
        return None

    def _heed(self, state: JobState) -> None:
        """Do what was asked of one that only waits, and so can't read it itself."""
        if state.phase != "waiting" or self._asked is not None:
            return
        if self._commands is None:
            answered = catch_up(EventReader(self._folder.events), RunState()).answered
            self._commands = CommandReader(self._folder.commands, answered)
        self._asked = next((one for one in self._commands.new() if one.command in ENDS_WAITING), None)
        if self._asked is not None:
            self._cancel()


def _said_for(command: Command) -> list[Event]:
    said = answer(command, "it waited for a place on the cluster, and waits no more", taken=True)
    return [said] if command.command == "stop" else [said, Paused(step=0, memory="released")]


def _lost(state: JobState, where: str) -> _Ended:
    why = state.why or "the cluster ended it"
    return _Ended(Exit(None, None), state.out_of_memory, f"{one_line(why, 300)} ({where})")


def _on(record: PostRecord) -> str:
    return f"{one_line(record.evidence, 300)} (on {one_line(record.host, 80)})" if record.evidence else ""
