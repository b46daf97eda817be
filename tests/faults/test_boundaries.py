"""The seam at which tests break a run: documented, free where unused, and loud where misunderstood."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import time
import timeit
from collections.abc import Iterator
from pathlib import Path

import pytest

from pegbox_methods.events import Memory, Notice, Step
from pegbox_runs import faults
from pegbox_runs.event_log import BadLine, EventReader, EventWriter
from pegbox_runs.fault_plan import ACTIONS, BOUNDARIES, BadPlan, read_plan
from pegbox_runs.run_state import RunState, catch_up

ROOT = Path(__file__).parents[2]
SOURCES = [*(ROOT / "runs").rglob("*.py")]


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    yield monkeypatch
    monkeypatch.delenv(faults.VARIABLE, raising=False)
    faults.arm()


def planned(monkeypatch: pytest.MonkeyPatch, *entries: dict[str, object]) -> None:
    monkeypatch.setenv(faults.VARIABLE, json.dumps(entries))
    faults.arm()


def table(title: str) -> dict[str, str]:
    text = (ROOT / "docs" / "breaking.md").read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([^`]+)` \| (.+?) \|$", text, re.MULTILINE))


def test_the_documentation_has_every_boundary_and_every_action() -> None:
    assert table("Where") == BOUNDARIES
    assert table("What") == ACTIONS


def test_every_boundary_is_passed_somewhere_and_every_one_that_is_passed_is_known() -> None:
    passed = set()
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "strike" and node.args:
                name = node.args[0]
                passed |= {name.value} if isinstance(name, ast.Constant) else set()
    assert passed == set(BOUNDARIES)


def test_without_a_plan_a_boundary_costs_less_than_a_microsecond_and_imports_nothing() -> None:
    assert min(timeit.repeat(lambda: faults.strike("step-end", step=3), number=10_000, repeat=5)) / 10_000 < 1e-6
    code = "import sys, pegbox_runs.event_log; print('pegbox_runs.fault_plan' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if name != faults.VARIABLE}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kill", "expected JSON"),
        ('{"at": "update"}', "expected JSON"),
        ('[{"at": "update"}]', "do"),
        ('[{"at": "updates", "do": "kill"}]', "no boundary is called 'updates'; there are loading"),
        ('[{"at": "update", "do": "explode"}]', "nothing is called 'explode'; there are kill"),
        ('[{"at": "update", "do": "errno:ENONE"}]', "errno:NAME"),
        ('[{"at": "update", "do": "exit:999"}]', "exit:N"),
        ('[{"at": "update", "do": "exit"}]', "nothing is called 'exit'"),
        ('[{"at": "update", "do": "kill:9"}]', "nothing is called 'kill:9'"),
        ('[{"at": "update", "do": "hang:soon"}]', "hang:SECONDS"),
        ('[{"at": "update", "do": "torn"}]', "event-write alone"),
        ('[{"at": "update", "do": "kill", "steps": 3}]', "steps"),
        ('[{"at": "update", "do": "kill", "nth": 0}]', "nth"),
    ],
)
def test_a_plan_that_cannot_be_understood_is_refused_with_what_would_be(text: str, said: str) -> None:
    with pytest.raises(BadPlan) as refusal:
        read_plan(text)
    assert said in str(refusal.value)


def test_a_process_with_a_bad_plan_ends_with_a_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import pegbox_runs.faults"],
        env={**os.environ, faults.VARIABLE: "[{]"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("PEGBOX_FAULTS: expected JSON")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("action", "error"),
    [("errno:ENOSPC", OSError), ("host-memory", MemoryError), ("device-memory", RuntimeError), ("error", RuntimeError)],
)
def test_a_planned_error_is_raised_where_and_as_often_as_planned(
    plan: pytest.MonkeyPatch, action: str, error: type[Exception]
) -> None:
    planned(plan, {"at": "update", "do": action, "step": 3, "attempt": 2, "times": 1})
    faults.strike("update", step=3)
    faults.begin(2)
    faults.strike("update", step=2)
    faults.strike("step-end", step=3)
    with pytest.raises(error):
        faults.strike("update", step=3)
    faults.strike("update", step=3)


def test_the_nth_passing_is_counted_from_one_and_meant_once(plan: pytest.MonkeyPatch) -> None:
    planned(plan, {"at": "checkpoint-write", "do": "error", "nth": 2})
    faults.strike("checkpoint-write")
    with pytest.raises(RuntimeError):
        faults.strike("checkpoint-write")
    faults.strike("checkpoint-write")


def test_an_unknown_boundary_is_an_error_wherever_a_plan_is(plan: pytest.MonkeyPatch) -> None:
    planned(plan)
    with pytest.raises(ValueError, match="no boundary is called 'upddate'"):
        faults.strike("upddate")


@pytest.mark.parametrize(("action", "code"), [("kill", -9), ("exit:7", 7)])
def test_a_process_that_shall_die_does(action: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from pegbox_runs.faults import strike; strike('update'); print('alive')"],
        env={**os.environ, faults.VARIABLE: json.dumps([{"at": "update", "do": action}])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, "")


def test_a_hang_takes_its_time(plan: pytest.MonkeyPatch) -> None:
    planned(plan, {"at": "update", "do": "hang:0.05"})
    before = time.monotonic()
    faults.strike("update")
    assert time.monotonic() - before >= 0.05


def test_a_log_with_torn_and_repeated_lines_and_a_clock_set_back_folds_as_if_nothing_had_been(
    plan: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    planned(
        plan,
        {"at": "event-write", "do": "torn", "nth": 3},
        {"at": "event-write", "do": "twice", "nth": 6},
        {"at": "event-write", "do": "back:3600", "step": 5, "nth": 1},
        {"at": "event-write", "do": "errno:EIO", "step": 7, "times": 1},
    )
    log = tmp_path / "events.jsonl"
    writer = EventWriter(log)
    steps = [
        Step(
            step=n,
            epoch=0,
            loss=1 / n,
            learning_rate=1,
            gradient_norm=1,
            tokens=1,
            tokens_per_second=1,
            step_seconds=1,
            memory=Memory(),
        )
        for n in range(1, 11)
    ]
    for step in steps:
        writer.emit(step)
    writer.emit(Notice(text="end"))
    told = [event for block in EventReader(log).new() for event in block]
    times = [event.time for event in told if not isinstance(event, BadLine)]
    assert times == sorted(times)
    assert sum(isinstance(event, BadLine) for event in told) == 1
    assert list(catch_up(EventReader(log), RunState()).loss) == [(n, 1 / n) for n in range(1, 11)]
