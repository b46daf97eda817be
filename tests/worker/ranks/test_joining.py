"""What really spans the processes is asked of torch, and nothing else than what was asked for is trained."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pegbox_methods.events import Event, Joined, Member
from pegbox_methods.recipe import Devices
from pegbox_methods.refusal import Refusal
from pegbox_runs.event_log import EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState
from pegbox_worker.ranks import joining
from pegbox_worker.ranks.carrying import agreed_state
from pegbox_worker.ranks.group import Alone
from pegbox_worker.ranks.joining import Company, EngineWatch, refuse_other_number
from pegbox_worker.ranks.silent import SilentWriter
from tests.stories import prepared, started
from tests.worker.ranks.threads import together


def watched(
    monkeypatch: pytest.MonkeyPatch, wanted: Devices, found: str, *, spanned: int, there: int | None = None
) -> list[Event]:
    """Let the watch look at a trainer of which torch says this."""
    monkeypatch.setattr(joining, "engine_of", lambda _: found)
    trainer: Any = SimpleNamespace(accelerator=SimpleNamespace(num_processes=spanned))
    members = tuple(
        Member(rank=rank, host="here", pid=rank + 1, device="cpu") for rank in range(there or wanted.processes)
    )
    told: list[Event] = []
    company = Company(Alone(), torch.device("cpu"), members, 0.5)
    EngineWatch(wanted, company, lambda: trainer, told.append).on_train_begin()
    return told


@pytest.mark.parametrize(("engine", "found"), [("auto", "ddp"), ("ddp", "ddp"), ("fsdp2", "fsdp2")])
def test_the_engine_that_runs_is_told_with_all_that_it_spans(
    monkeypatch: pytest.MonkeyPatch, engine: Any, found: str
) -> None:
    (joined,) = watched(monkeypatch, Devices(processes=2, engine=engine), found, spanned=2)
    assert isinstance(joined, Joined)
    assert (joined.engine, [member.pid for member in joined.members], joined.seconds) == (found, [1, 2], 0.5)


@pytest.mark.parametrize(
    ("engine", "found", "spanned", "said"),
    [
        ("fsdp2", "ddp", 2, "'ddp' on 2 came of it"),
        ("ddp", "single", 2, "a process that trains for itself on 2"),
        ("auto", "single", 1, "a process that trains for itself on 1"),
        ("auto", "ddp", 1, "'ddp' on 1 came of it"),
    ],
)
def test_another_engine_or_fewer_processes_than_asked_for_are_refused(
    monkeypatch: pytest.MonkeyPatch, engine: Any, found: str, spanned: int, said: str
) -> None:
    with pytest.raises(Refusal, match=said):
        watched(monkeypatch, Devices(processes=2, engine=engine), found, spanned=spanned)


def test_one_process_through_the_launcher_has_nobody_to_tell_of(monkeypatch: pytest.MonkeyPatch) -> None:
    assert watched(monkeypatch, Devices(processes=1, engine="ddp"), "single", spanned=1) == []


def test_another_number_than_the_recipe_parts_its_rows_among_is_refused() -> None:
    with pytest.raises(Refusal, match=r"devices\.processes = 3, and the launcher started 1"):
        refuse_other_number(Devices(processes=3), Alone())


def test_all_begin_from_what_the_leading_ones_log_says() -> None:
    known = RunState().after(started(attempt=2)).after(prepared())
    states = together(2, lambda group: agreed_state(group, known if group.leads else RunState()))
    assert states[0] is known
    assert (states[1].started, states[1].prepared) == (known.started, known.prepared)


def test_a_process_that_does_not_lead_writes_no_line(tmp_path: Any) -> None:
    writer: EventWriter = SilentWriter()
    writer.emit(prepared())
    assert writer.flush()
    writer.close()
    assert not RunFolder(tmp_path).events.exists()
