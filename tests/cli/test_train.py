"""The main job end to end: a recipe goes in, a detached worker trains, an adapter lies in the folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pty
import signal
import stat
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

from pegbox_methods.events import (
    Checkpoint,
    CommandAnswer,
    Evaluation,
    Failed,
    Finished,
    Paused,
    Phase,
    Prepared,
    Sample,
    Started,
    Step,
    WorkerEnded,
)
from pegbox_methods.recipe_file import read_recipe
from pegbox_runs.commands import send
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.viewing import state_of, summary_of
from tests.commands import (
    events_of,
    pegbox,
    start_detached,
    wait_for,
    wait_until,
    write_recipe_text,
)


@pytest.fixture(scope="session")
def session_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pegbox-home")


@pytest.fixture(scope="session")
def trained(session_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, str]:
    """One run watched to its end as plain lines. Returns: its folder, and the lines."""
    recipe = write_recipe_text(tmp_path_factory.mktemp("recipe"))
    done = pegbox("train", str(recipe), home=session_home)
    assert done.returncode == 0, done.stderr
    (path,) = (session_home / "runs").iterdir()
    return RunFolder(path), done.stdout


def adapter_hash(folder: RunFolder) -> str:
    return hashlib.sha256((folder.adapter / "adapter_model.safetensors").read_bytes()).hexdigest()


def test_the_log_tells_the_whole_story_in_order(trained: tuple[RunFolder, str]) -> None:
    events = events_of(trained[0])
    assert [event.seq for event in events] == list(range(1, len(events) + 1))  # type: ignore[union-attr]
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    phases = [event.phase for event in events if isinstance(event, Phase)]
    assert phases == [
        "loading",
        "preparing",
        "training",
        "evaluating",
        "training",
        "evaluating",
        "training",
        "evaluating",
        "training",
        "saving",
    ]
    assert [event.step for event in events if isinstance(event, Step)] == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in events if isinstance(event, Evaluation)] == [0, 3, 6]
    assert [event.step for event in events if isinstance(event, Checkpoint)] == [3, 6]
    assert [event.step for event in events if isinstance(event, Sample)] == [0, 3, 6]


def test_every_figure_of_a_step_is_there_and_plausible(trained: tuple[RunFolder, str]) -> None:
    events = events_of(trained[0])
    (prepared,) = (event for event in events if isinstance(event, Prepared))
    assert (prepared.steps, prepared.rows_trained, prepared.rows_evaluated) == (6, 54, 6)
    assert 0 < prepared.tokens_trained < prepared.tokens
    assert prepared.loss_path == "labelled-positions"
    steps = [event for event in events if isinstance(event, Step)]
    for step in steps:
        assert step.gradient_norm is not None
        assert step.gradient_norm > 0
        assert 8 * 10 < step.tokens < 8 * 256
        assert step.tokens_per_second == pytest.approx(step.tokens / step.step_seconds)
        assert step.memory.process_peak is not None
        assert step.memory.process_peak > 10**8


def test_the_evaluation_loss_falls_on_rows_not_trained_on(trained: tuple[RunFolder, str]) -> None:
    state = state_of(trained[0])
    assert state.untrained_evaluation is not None
    assert state.best_evaluation is not None
    assert state.best_evaluation.loss < state.untrained_evaluation.loss


def test_the_folder_holds_what_it_promises_and_is_private(trained: tuple[RunFolder, str]) -> None:
    folder = trained[0]
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "adapter",
        "checkpoints",
        "commands.jsonl",
        "environment.json",
        "events.jsonl",
        "forecast.json",
        "recipe.toml",
        "summary.json",
        "worker.log",
    ]
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    for path in folder.path.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert {"adapter_config.json", "adapter_model.safetensors"} <= {path.name for path in folder.adapter.iterdir()}
    summary = summary_of(folder)
    assert (summary.status, summary.steps, summary.kept_step) == ("finished", 6, 6)


def test_libraries_print_nothing_into_the_log_of_events_or_the_worker(trained: tuple[RunFolder, str]) -> None:
    assert trained[0].log.read_text() == ""


def test_the_adapter_loads_in_plain_peft_and_has_the_loss_that_was_told(trained: tuple[RunFolder, str]) -> None:
    from tests.plain_peft import evaluation_loss

    best = state_of(trained[0]).best_evaluation
    assert best is not None
    assert evaluation_loss(trained[0]) == pytest.approx(best.loss, abs=1e-3)


def test_the_lines_tell_a_person_what_happened(trained: tuple[RunFolder, str]) -> None:
    lines = trained[1]
    for said in ("lora on bundled", "untrained: evaluation loss", "step 6/6", "completed after 6 steps", "before:"):
        assert said in lines
    assert "\x1b" not in lines


def test_training_from_the_folders_own_recipe_repeats_the_run_bit_for_bit(
    trained: tuple[RunFolder, str], home: Path
) -> None:
    done = pegbox("train", str(trained[0].recipe), home=home)
    assert done.returncode == 0, done.stderr
    (path,) = (home / "runs").iterdir()
    assert adapter_hash(RunFolder(path)) == adapter_hash(trained[0])
    assert read_recipe(RunFolder(path).recipe) == read_recipe(trained[0].recipe)


def test_watching_a_finished_run_gives_its_whole_history_again(
    trained: tuple[RunFolder, str], session_home: Path
) -> None:
    assert pegbox("watch", "last", "--plain", home=session_home).stdout == trained[1]
    done = pegbox("watch", "--json", home=session_home)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        json.loads(line) for line in trained[0].events.read_text().splitlines()
    ]
    assert done.returncode == 0


def test_runs_lists_it(trained: tuple[RunFolder, str], session_home: Path) -> None:
    (record,) = json.loads(pegbox("runs", "--json", home=session_home).stdout)
    assert (record["run"], record["status"], record["steps"]) == (trained[0].id, "finished", 6)
    table = pegbox("runs", home=session_home, COLUMNS="80").stdout
    assert trained[0].id in table
    assert "finished" in table


def test_a_run_that_is_over_cannot_be_stopped(trained: tuple[RunFolder, str], session_home: Path) -> None:
    done = pegbox("stop", "last", "--json", home=session_home)
    assert done.returncode == 1
    assert json.loads(done.stdout)["status"] == "finished"


ENDLESS = {"training": {"max_steps": 100_000, "epochs": 1000.0}, "evaluation": {"every": 50_000}}


def test_a_running_run_does_what_it_is_asked_to(tmp_path: Path, home: Path) -> None:
    folder = start_detached(write_recipe_text(tmp_path, **ENDLESS), home)
    wait_for(folder, lambda event: isinstance(event, Step) and event.step >= 2)
    send(folder.commands, "dance")
    assert pegbox("pause", folder.id, home=home).returncode == 0
    paused = wait_for(folder, lambda event: isinstance(event, Paused))
    assert isinstance(paused, Paused)
    assert pegbox("checkpoint", folder.id, home=home).returncode == 0
    saved = wait_for(folder, lambda event: isinstance(event, Checkpoint))
    assert isinstance(saved, Checkpoint)
    assert (saved.step, saved.reason) == (paused.step, "asked")
    assert state_of(folder).status == "paused"
    assert pegbox("resume", folder.id, home=home).returncode == 0
    wait_for(folder, lambda event: isinstance(event, Step) and event.step > paused.step)
    done = pegbox("stop", folder.id[:15], "--json", home=home)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["answer"]["taken"] is True
    finished = wait_for(folder, lambda event: isinstance(event, Finished))
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.adapter) == ("stopped", "adapter")
    answers = [event for event in events_of(folder) if isinstance(event, CommandAnswer)]
    assert [answer.command for answer in answers] == ["dance", "pause", "checkpoint", "resume", "stop"]
    assert "unknown command 'dance'" in answers[0].text
    assert [answer.taken for answer in answers] == [False, True, True, True, True]
    steps_after = [e for e in events_of(folder) if isinstance(e, Step) and e.seq > answers[-1].seq]
    assert len(steps_after) <= 1
    assert (folder.adapter / "adapter_model.safetensors").is_file()
    wait_until(folder.summary.is_file)
    assert summary_of(folder).status == "stopped"
    shown = pegbox("watch", folder.id, "--plain", home=home)
    assert shown.returncode == 0
    assert f"`pegbox resume {folder.id}` goes on from the checkpoint of step {finished.steps}." in shown.stdout


@pytest.mark.slow
def test_a_run_that_was_paused_stopped_and_continued_ends_as_if_it_never_had_been(
    trained: tuple[RunFolder, str], tmp_path: Path, home: Path
) -> None:
    folder = start_detached(write_recipe_text(tmp_path), home)
    assert pegbox("pause", "last", "--release", home=home).returncode == 0  # while it imports
    paused = wait_for(folder, lambda event: isinstance(event, Paused))
    assert isinstance(paused, Paused)
    assert (paused.step, paused.memory) == (1, "released")
    assert pegbox("resume", "last", home=home).returncode == 0
    wait_for(folder, lambda event: isinstance(event, Started) and event.attempt == 2)
    assert pegbox("stop", "last", home=home).returncode == 0
    wait_until(folder.summary.is_file)
    assert summary_of(folder).status == "stopped"
    done = pegbox("resume", "last", "--json", home=home)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert (told[0], told[-1]) == ("started", "finished")
    assert (summary_of(folder).status, summary_of(folder).attempts) == ("finished", 3)
    assert adapter_hash(folder) == adapter_hash(trained[0])
    assert list(state_of(folder).loss) == list(state_of(trained[0]).loss)


def worker_pid(folder: RunFolder) -> int:
    started = events_of(folder)[0]
    assert isinstance(started, Started)
    return started.worker_pid


def supervisor_pid(folder: RunFolder) -> int:
    started = events_of(folder)[0]
    assert isinstance(started, Started)
    return started.supervisor_pid


def test_a_killed_worker_is_told_by_its_supervisor(tmp_path: Path, home: Path) -> None:
    folder = start_detached(write_recipe_text(tmp_path, recovery={"restarts": 0}, **ENDLESS), home)
    wait_for(folder, lambda event: isinstance(event, Step) and event.step >= 2)
    os.kill(worker_pid(folder), signal.SIGKILL)
    failed = wait_for(folder, lambda event: isinstance(event, Failed))
    assert isinstance(failed, Failed)
    assert failed.signal == "SIGKILL"
    assert "training at step" in failed.where
    assert "memory" in failed.remedy
    wait_until(folder.summary.is_file)
    assert summary_of(folder).status == "failed"
    shown = pegbox("watch", folder.id, "--plain", home=home)
    assert shown.returncode == 1
    assert "killed by SIGKILL" in shown.stdout
    assert "pegbox resume" in shown.stdout
    assert not folder.adapter.exists()


def test_a_worker_killed_while_it_imports_is_started_again(tmp_path: Path, home: Path) -> None:
    folder = start_detached(write_recipe_text(tmp_path), home)
    os.kill(worker_pid(folder), signal.SIGKILL)
    finished = wait_for(folder, lambda event: isinstance(event, Finished | Failed))
    assert isinstance(finished, Finished)
    assert finished.reason == "completed"
    ended = next(event for event in events_of(folder) if isinstance(event, WorkerEnded))
    assert ended.signal == "SIGKILL"
    wait_until(folder.summary.is_file)
    assert f"{folder.id}: 2 workers carried it, one after another." in pegbox("runs", home=home, COLUMNS="80").stdout


def test_a_run_outlives_its_supervisor_and_gets_another(tmp_path: Path, home: Path) -> None:
    folder = start_detached(write_recipe_text(tmp_path), home)
    os.kill(supervisor_pid(folder), signal.SIGKILL)
    wait_for(folder, lambda event: isinstance(event, Finished))
    wait_until(folder.summary.is_file)  # by the one that its worker started
    assert summary_of(folder).status == "finished"


def test_a_run_whose_processes_are_both_killed_is_called_lost(tmp_path: Path, home: Path) -> None:
    folder = start_detached(write_recipe_text(tmp_path, **ENDLESS), home)
    wait_for(folder, lambda event: isinstance(event, Step))
    os.kill(supervisor_pid(folder), signal.SIGKILL)
    os.kill(worker_pid(folder), signal.SIGKILL)
    wait_until(lambda: state_of(folder).status == "lost")
    shown = pegbox("watch", folder.id, "--plain", home=home)
    assert shown.returncode == 1
    assert "lost: neither the run's supervisor nor its worker lives" in shown.stdout
    assert f"`pegbox resume {folder.id}` goes on from its beginning" in shown.stdout
    assert pegbox("stop", folder.id, home=home).returncode == 1


def test_a_run_outlives_its_terminal(tmp_path: Path, home: Path) -> None:
    recipe = write_recipe_text(tmp_path)
    terminal, inside = pty.openpty()
    viewer = subprocess.Popen(
        [sys.executable, "-P", "-m", "pegbox", "train", str(recipe), "--plain"],
        env={**os.environ, "PEGBOX_HOME": str(home)},
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.close(inside)
    seen = b""
    while b"loading" not in seen:
        seen += os.read(terminal, 4096)
    os.close(terminal)  # the line is cut: the kernel hangs up on everything in that session
    os.killpg(viewer.pid, signal.SIGHUP)
    viewer.wait()
    (path,) = (home / "runs").iterdir()
    finished = wait_for(RunFolder(path), lambda event: isinstance(event, Finished))
    assert isinstance(finished, Finished)
    assert finished.reason == "completed"


def test_a_terminated_worker_saves_and_says_stopped(tmp_path: Path, home: Path) -> None:
    folder = start_detached(write_recipe_text(tmp_path, **ENDLESS), home)
    wait_for(folder, lambda event: isinstance(event, Step) and event.step >= 2)
    os.kill(supervisor_pid(folder), signal.SIGTERM)
    finished = wait_for(folder, lambda event: isinstance(event, Finished))
    assert isinstance(finished, Finished)
    assert finished.reason == "stopped"
    assert (folder.adapter / "adapter_model.safetensors").is_file()


Recipes = dict[str, dict[str, dict[str, Any]]]


def trained_behind_each_other(folder: Path, home: Path, whole: Recipes) -> dict[str, list[dict[str, Any]]]:
    """Train recipes by one command, which loads the libraries and the model once. Returns: the events of each run."""
    recipes = []
    for name, tables in whole.items():
        place = folder / name
        place.mkdir()
        recipes.append(write_recipe_text(place, **tables, output={"note": name}))
    done = pegbox("train", *map(str, recipes), "--plain", home=home)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr
    runs = [RunFolder(path) for path in (home / "runs").iterdir()]
    assert len(runs) == len(recipes)
    return {
        read_recipe(run.recipe).output.note: [json.loads(line) for line in run.events.read_text().splitlines()]
        for run in runs
    }


def test_rows_without_a_chat_and_rows_that_are_all_trained_on_train_too(tmp_path: Path, home: Path) -> None:
    kinds = {
        "text": {"text": "def f(x):\n    return x + {i}"},
        "prompt": {"prompt": "What is {i}?", "completion": " The number {i}."},
    }
    whole: Recipes = {"all": {"split": {"share": 0}}}
    for name, row in kinds.items():
        rows = tmp_path / f"{name}.jsonl"
        rows.write_text(
            "".join(json.dumps({k: v.replace("{i}", str(i)) for k, v in row.items()}) + "\n" for i in range(30))
        )
        whole[name] = {"rows": {"file": str(rows)}, "training": {"max_steps": 3}}
    told = trained_behind_each_other(tmp_path, home, whole)
    assert {name: events[-1]["event"] for name, events in told.items()} == dict.fromkeys(whole, "finished")
    events = [event["event"] for event in told["all"]]
    assert "evaluation" not in events
    assert events.count("checkpoint") == 2
    assert told["all"][-1]["kept_step"] == 6, "without held-out rows the last step is kept"


def test_other_ways_to_train_work_too(tmp_path: Path, home: Path) -> None:
    ways: dict[str, dict[str, Any]] = {
        "paged": {"optimizer": "paged_adamw_8bit"},
        "bfloat16": {"precision": "bfloat16"},
        "checkpointing": {"activation_checkpointing": "on"},
        "shuffled": {"order": "shuffled"},
    }
    told = trained_behind_each_other(tmp_path, home, {name: {"training": way} for name, way in ways.items()})
    for name in ways:
        events = told[name]
        losses = [event["loss"] for event in events if event["event"] == "evaluation"]
        assert losses[-1] < losses[0], name
        (prepared,) = (event for event in events if event["event"] == "prepared")
        assert prepared["activation_checkpointing"] is (name == "checkpointing")
        assert prepared["precision"] == ("bfloat16" if name == "bfloat16" else "float32")


def test_rows_too_long_for_the_limit_fail_loudly_before_the_first_step(tmp_path: Path, home: Path) -> None:
    done = pegbox("train", str(write_recipe_text(tmp_path, training={"length": 8})), home=home)
    assert done.returncode == 1
    assert "Every row trains nothing: no token of an answer is left within training.length" in done.stdout
    assert "Raise it" in done.stdout


def test_in_a_terminal_the_dashboard_opens_and_q_leaves_it(trained: tuple[RunFolder, str], session_home: Path) -> None:
    terminal, inside = pty.openpty()
    termios.tcsetwinsize(inside, (24, 80))
    viewer = subprocess.Popen(
        [sys.executable, "-P", "-m", "pegbox", "watch", "last"],
        env={**os.environ, "PEGBOX_HOME": str(session_home), "TERM": "xterm-256color"},
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.close(inside)
    seen = b""
    while b"the adapter has the weights of" not in seen:
        seen += os.read(terminal, 65536)
    os.write(terminal, b"q")
    rest = b""
    with contextlib.suppress(OSError):  # Linux ends a terminal whose other side is closed with an error
        while part := os.read(terminal, 65536):
            rest += part
    assert viewer.wait() == 0
    assert b"completed after 6 steps" in rest.rpartition(b"\x1b[?1049l")[2]
    os.close(terminal)
