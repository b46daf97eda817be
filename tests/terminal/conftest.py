"""A terminal for each test, and a home with runs in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pegbox_methods.events import AnyEvent, Failed, Finished
from pegbox_runs.commands import send
from pegbox_runs.event_log import EventWriter
from pegbox_runs.run_folder import RunFolder, all_runs
from pegbox_runs.summary import summarise, write_summary
from pegbox_runs.supervision.owner import read_owner
from pegbox_runs.viewing import state_of
from tests.stories import STORY, evaluation, made, step
from tests.terminal.tmux import Terminal

DONE = Finished(reason="completed", steps=10, kept_step=9, adapter="adapter", seconds=61.0)
FAILED = Failed(what="the device ran out of memory", where="training at step 3", remedy="Lower it.")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """Give a terminal that is closed with what runs in it."""
    folder = tmp_path / "tmux"
    folder.mkdir()
    made = Terminal(folder, f"pegbox-{os.getpid()}")
    yield made
    made.close()
    for run in all_runs():  # of a walk that failed half way
        owner = read_owner(run)
        if owner is not None and owner.lives:
            send(run.commands, "abort")


def run_of(name: str, *events: AnyEvent) -> RunFolder:
    """Put events into a run's folder of a fixed name. It counts as carried by this process."""
    folder = made()
    folder = RunFolder(folder.path.rename(folder.path.with_name(name)))
    tell(folder, *events)
    if isinstance(events[-1], Finished):
        write_summary(summarise(folder.id, state_of(folder)), folder.summary)
    return folder


def tell(folder: RunFolder, *events: AnyEvent) -> None:
    """Add to a run's log."""
    writer = EventWriter(folder.events)
    for event in events:
        writer.emit(event)
    writer.close()


@pytest.fixture
def live_run(home: Path) -> RunFolder:
    """One finished, one failed and one running run; give the last."""
    run_of("20260101-080000-lora-aaaa", *STORY, *(step(i) for i in range(4, 10)), evaluation(9, 1.8), DONE)
    run_of("20260102-090000-lora-bbbb", *STORY, FAILED)
    return run_of("20260103-100000-lora-cccc", *STORY)
