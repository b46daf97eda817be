"""A whole run by FSDP2: no process holds the base model, and what it says and is worth is told as by one that does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import pytest
from msgspec import structs

from pegbox_methods.events import Finished, Joined, Sample, Step
from pegbox_methods.recipe import Devices
from pegbox_runs.event_log import EventWriter
from pegbox_runs.judging.judged import Judgement, RowLosses, read_judged
from pegbox_runs.run_folder import RunFolder, create
from pegbox_runs.run_state import RunState
from pegbox_worker.control import Control
from pegbox_worker.job import carry
from pegbox_worker.stop_flag import StopFlag
from tests.commands import events_of
from tests.methods_at_work import one_thread
from tests.worker.ranks.rank_runs import STEPS, checked_run, ended, launched

pytestmark = pytest.mark.slow

LOOKS = {
    "method": {"name": "lora", "settings": {"rank": 4, "dropout": 0.0}},
    "evaluation": {"every": 3, "samples": 2, "sample_tokens": 6, "sample_at": "evaluations"},
    "judging": {"rows": True, "metrics": ["rouge-l"], "answers": 2, "general": "bundled"},
}
NEAR = 2e-5


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


def test_a_base_that_no_process_holds_answers_and_is_judged_as_by_one_that_does_even_behind_the_last_step() -> None:
    checked = checked_run(**LOOKS)
    whole, parted = (
        create(structs.replace(checked.recipe, devices=devices), checked.environment())
        for devices in (Devices(), Devices(processes=2, engine="fsdp2"))
    )
    kept_weights = {"at": "judging", "do": "error", "nth": 2, "rank": 1, "attempt": 1}
    with launched(parted, PEGBOX_FAULTS=json.dumps([kept_weights])) as two:
        with closing(EventWriter(whole.events)) as writer:
            assert carry(whole, writer, Control(whole, writer, StopFlag()), RunState()) == 0
        assert ended(parted, two) == 1
    assert read_judged(parted.path) is None
    with launched(parted, attempt=2) as two:
        assert ended(parted, two) == 0, parted.log.read_text()[-3000:]
    events = events_of(parted)
    assert {event.engine for event in events if isinstance(event, Joined)} == {"fsdp2"}
    assert [event.step for event in events if isinstance(event, Step)] == [*range(1, STEPS + 1)]
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.reason == "completed"
    assert _answers(parted) == _answers(whole)
    assert {step for step, _ in _answers(parted)} == {0, 3, STEPS}
    one_says, two_say = read_judged(whole.path), read_judged(parted.path)
    assert one_says is not None
    assert two_say is not None
    assert two_say.kept_step == one_says.kept_step
    _same(two_say.before, one_says.before)
    _same(two_say.after, one_says.after)
    assert one_says.before.held_out.mean - one_says.after.held_out.mean > 100 * NEAR, "or before and after are one"


def _answers(folder: RunFolder) -> dict[tuple[int, int], str]:
    return {(event.step, event.index): event.answer for event in events_of(folder) if isinstance(event, Sample)}


def _same(one: Judgement, other: Judgement) -> None:
    _near(one.held_out, other.held_out)
    assert one.general is not None
    assert other.general is not None
    _near(one.general, other.general)
    assert one.scores == other.scores


def _near(one: RowLosses, other: RowLosses) -> None:
    assert one.tokens == other.tokens
    assert one.nats == pytest.approx(other.nats, rel=NEAR)
