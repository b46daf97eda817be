"""`pegbox evaluate` with measures from outside, as a person asks for them; and no socket is opened unless one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pegbox import evaluate_extras_run
from pegbox.parser import build_parser
from pegbox_runs.evaluating.outside.judge import Pair
from pegbox_runs.jobs import JobFailed
from pegbox_runs.tuned import tuned_run
from tests.commands import pegbox, write_recipe_text
from tests.in_terminal import InTerminal
from tests.methods.guests import drop
from tests.runs.evaluating.stub_judge import Stub, judge, prefers_longer

TASK = """
from pegbox_methods import Task, TaskRow, hookimpl


@hookimpl
def pegbox_task():
    rows = lambda: [TaskRow(question=f"Look up {name}.", expected="Name") for name in ("os", "re", "io")]
    return Task(name="says-name", summary="Does it begin as it should?", rows=rows, score=score, max_tokens=8)


def score(answer, expected):
    print("the guest speaks")
    return float(answer.startswith(expected))
"""
SPY = """
import os, sys


def heard(event, given):
    address = given[1] if event == "socket.connect" else given[0] if event == "socket.getaddrinfo" else None
    if isinstance(address, (tuple, str, bytes)) and event in ("socket.connect", "socket.getaddrinfo"):
        with open(os.environ["SPY"], "a") as file:
            print(event, given, file=file)


sys.addaudithook(heard)
"""
"""Loaded by every Python process of the command: writes down each connection, and each name that is looked up."""
KEY = "sk-of-a-test-0123456789"
CHEAP = ("--answers", "0", "--limit", "3")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train the bundled model a little. Returns: the home, with a task in it."""
    folder = tmp_path_factory.mktemp("outside")
    recipe = write_recipe_text(folder, training={"max_steps": 12, "learning_rate": 1e-2})
    done = pegbox("train", str(recipe), "--json", home=folder / "home")
    assert done.returncode == 0, done.stderr
    drop(folder / "home", "says_name.py", TASK, folder_name="tasks")
    return folder / "home"


@pytest.fixture
def spied(tmp_path: Path) -> dict[str, str]:
    """Give the environment in which connections are written down."""
    (tmp_path / "sitecustomize.py").write_text(SPY)
    return {"PYTHONPATH": str(tmp_path), "SPY": str(tmp_path / "connections"), "OMP_NUM_THREADS": "1"}


def connections(spied: dict[str, str]) -> list[str]:
    file = Path(spied["SPY"])
    return file.read_text().splitlines() if file.exists() else []


def evaluate(home: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return pegbox("evaluate", "last", "--json", *CHEAP, *options, home=home, **environment)


def tasks(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    assert done.stdout.startswith("{"), done.stderr
    return {one["name"]: one for one in json.loads(done.stdout)["tasks"]}


def asking(stub: Stub) -> tuple[str, ...]:
    return ("--judge", stub.url, "--judge-model", "a-judge", "--judge-rows", "4")


def lm_eval_task(folder: Path) -> Path:
    folder.mkdir()
    lines = [
        "task: letters",
        "dataset_path: json",
        "dataset_kwargs: {data_files: {test: rows.jsonl}}",
        "output_type: multiple_choice",
        "test_split: test",
        'doc_to_text: "{{question}}"',
        'doc_to_choice: ["a", "b"]',
        "doc_to_target: answer",
        "metric_list: [{metric: acc}]",
    ]
    (folder / "letters.yaml").write_text("\n".join(lines))
    rows = ({"question": f"Number {n}?", "answer": n % 2} for n in range(6))
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.slow
def test_tasks_of_plugins_and_of_lm_eval_stand_in_the_record_and_open_no_socket(
    trained: Path, spied: dict[str, str], tmp_path: Path
) -> None:
    folder = lm_eval_task(tmp_path / "tasks")
    drop(trained, "fails.py", TASK.replace("says-name", "fails").replace("float(", "int('x'"), folder_name="tasks")
    options = ("--task", "says-name", "--task", "fails", "--lm-eval", "letters", "--lm-eval-tasks", str(folder))
    done = evaluate(trained, *options, HF_DATASETS_CACHE=str(tmp_path / "cache"), HF_HUB_OFFLINE="0", **spied)
    found = tasks(done)
    assert (found["fails"]["rows"], done.returncode) == (0, 1)
    assert found["says-name"]["rows"] == 3
    assert found["says-name"]["source"] == "plugin"
    assert found["letters"]["rows"] == 6
    assert found["letters"]["difference"]["value"] == found["letters"]["tuned"] - found["letters"]["base"]
    assert not connections(spied)


@pytest.mark.slow
def test_a_judge_is_asked_with_a_yes_and_the_key_is_in_no_file(
    trained: Path, spied: dict[str, str], tmp_path: Path
) -> None:
    with judge(prefers_longer) as stub:
        options = (*asking(stub), "--judge-key-env", "MY_JUDGE", "--yes")
        done = evaluate(trained, *options, MY_JUDGE=KEY, **spied)
    told = tasks(done)["a-judge"]
    assert 1 <= told["rows"] <= 4
    assert told["difference"] is not None
    assert "a-judge at http://127.0.0.1" in done.stderr
    assert len(stub.bodies) % 2 == 0
    assert {headers["Authorization"] for headers in stub.headers} == {f"Bearer {KEY}"}
    port = stub.url.rpartition(":")[2].partition("/")[0]
    assert connections(spied)
    assert all(port in line for line in connections(spied))
    assert KEY not in done.stdout + done.stderr
    assert not [file for file in trained.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]


def test_nothing_is_sent_where_nobody_can_be_asked(trained: Path) -> None:
    with judge(prefers_longer) as stub:
        done = evaluate(trained, *asking(stub))
    assert done.returncode == 2
    assert "Nobody is here to be asked: say --yes" in done.stderr
    assert "up to 4 questions of the run's held-out rows" in done.stderr
    assert not stub.bodies


@pytest.mark.parametrize("answer", [b"n\n", b"\n"])
def test_anything_but_a_yes_sends_nothing_and_evaluates_nothing(trained: Path, answer: bytes) -> None:
    with judge(prefers_longer) as stub:
        command = [sys.executable, "-P", "-m", "pegbox", "evaluate", "last", *CHEAP, *asking(stub)]
        with InTerminal(command, {"PEGBOX_HOME": str(trained)}) as terminal:
            terminal.wait_for("[y/N]")
            terminal.type(answer)
            written = terminal.wait_for_end()
    assert terminal.exit_status == 2
    assert "nothing was sent" in written
    assert not stub.bodies


SLOW = pytest.mark.slow
"""The harness looks through its thousands of tasks."""


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--task", "say-name"), 'no task is called "say-name"; did you mean "says-name"'),
        (("--lm-eval-limit", "3"), "--lm-eval-limit goes with --lm-eval TASK"),
        (("--allow-task-code",), "--allow-task-code goes with --lm-eval TASK"),
        (("--lm-eval", ","), "name one task"),
        (("--lm-eval", "a", "--lm-eval-tasks", "/no/such/folder"), "no such folder"),
        (("--lm-eval", "a", "--lm-eval-limit", "0"), "give 1 or more"),
        pytest.param(("--lm-eval", "no-such-task"), 'no task, group or tag called "no-such-task"', marks=SLOW),
        (("--yes",), "--yes goes with --judge URL"),
        (("--judge", "http://localhost:1/v1"), "--judge needs --judge-model NAME"),
        (("--judge", "http://10.1.2.3/v1", "--judge-model", "m", "--yes"), "--judge-insecure"),
        (("--judge", "http://localhost:1/v1", "--judge-model", "m", "--judge-rows", "0"), "--judge-rows 0"),
        (("--judge", "https://h/v1", "--judge-model", "m", "--judge-key-env", "NOT_SET_HERE"), "NOT_SET_HERE"),
    ],
)
def test_what_is_asked_wrongly_is_refused_before_anything_runs(
    trained: Path, options: tuple[str, ...], says: str
) -> None:
    done = evaluate(trained, *options)
    assert done.returncode == 2
    assert says in done.stderr


def test_without_the_extra_it_is_said_how_to_install_it(trained: Path, tmp_path: Path) -> None:
    program = (
        "import importlib.util as util, sys\nfound = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'lm_eval' else found(name, *rest)\n"
        "from pegbox.__main__ import main\nsys.argv = ['pegbox', 'evaluate', 'last', '--lm-eval', 'arc_easy']\n"
        "sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PEGBOX_HOME": str(trained)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install 'pegbox[lm-eval]'" in done.stderr


def test_a_judge_that_does_not_answer_and_a_worker_that_dies_cost_only_their_own_figures(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def worker(job: str, *_: Any, **__: Any) -> Any:
        if job == "tasks":
            raise JobFailed("the worker of the job tasks was ended by SIGSEGV", log_tail="...\nin a_guest.py")
        return [Pair(question="q", expected="e", base="b", tuned="t")]

    monkeypatch.setattr(evaluate_extras_run, "ask_worker", worker)
    (folder,) = (trained / "runs").iterdir()
    with judge(lambda _: (401, {}, b"who are you?")) as stub:
        asked = build_parser().parse_args(["evaluate", "last", *asking(stub), "--task", "says-name", "--yes"])
        guest, judged = evaluate_extras_run.run_extras(asked, tuned_run(str(folder)), lambda _: None)
    assert (guest.rows, judged.rows) == (0, 0)
    assert guest.remark.endswith("ended by SIGSEGV; in a_guest.py")
    assert "HTTP 401 (is the key right?): who are you?" in judged.remark


def test_the_tasks_that_are_here_are_listed_with_whose_they_are(trained: Path) -> None:
    listed = json.loads(pegbox("methods", "--tasks", "--json", home=trained).stdout)
    assert {"name": "says-name", "summary": "Does it begin as it should?", "origin": "drop-in says_name.py"} in (
        listed["tasks"]
    )
    assert "says-name" in pegbox("methods", "--tasks", home=trained).stdout
