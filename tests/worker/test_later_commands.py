"""A command may name the step behind which it is heeded, so that a replay stops where its original was stopped."""

from __future__ import annotations

from pathlib import Path

from pegbox_methods.events import CommandAnswer
from pegbox_runs.commands import send
from pegbox_runs.event_log import EventReader, EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_worker.control import Control
from pegbox_worker.stop_flag import StopFlag


def test_a_stop_is_put_by_until_its_very_step(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    control = Control(folder, EventWriter(folder.events), StopFlag())
    send(folder.commands, "stop", after=3)
    for step in (1, 2):
        control.poll()
        control.advanced(step, 0.0)
        assert not control.stopping
    control.advanced(3, 0.0)
    assert control.stopping, "at once, and not when the thread that listens next looks"
    events = [event for block in EventReader(folder.events).new() for event in block]
    assert [event.taken for event in events if isinstance(event, CommandAnswer)] == [True]


def test_other_commands_are_heeded_meanwhile(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    control = Control(folder, EventWriter(folder.events), StopFlag())
    send(folder.commands, "stop", after=5)
    control.poll()
    send(folder.commands, "checkpoint")
    control.poll()
    assert control.wants_checkpoint()
    assert not control.stopping
