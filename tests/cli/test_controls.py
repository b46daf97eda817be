"""Commands to a run, from words to answers, with a made-up run in place of a real one."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from pegbox import command_answer
from pegbox.__main__ import main
from pegbox.commands import resume, runs
from pegbox_methods.events import Failed, Finished, Restarting
from pegbox_runs import asking, continuing, starting
from pegbox_runs.commands import CommandReader, answer
from pegbox_runs.event_log import EventWriter
from pegbox_runs.run_folder import RunFolder, all_runs
from pegbox_runs.run_state import fold
from pegbox_runs.summary import summarise
from pegbox_runs.supervision.owner import OwnerRecord
from tests.commands import write_recipe_text
from tests.stories import STORY, made, started

STOPPED = Finished(reason="stopped", steps=3, kept_step=3, adapter="adapter", seconds=6.0)
WORDS = {
    "stop": ["stop"],
    "pause": ["pause"],
    "pause-release": ["pause", "--release"],
    "resume": ["resume"],
    "checkpoint": ["checkpoint"],
    "abort": ["abort"],
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "POLL_SECONDS", 0.01)


@pytest.fixture
def running() -> RunFolder:
    folder = made()
    writer = EventWriter(folder.events)
    for event in STORY:
        writer.emit(event)
    return folder


@pytest.fixture
def over(running: RunFolder) -> RunFolder:
    EventWriter(running.events).emit(STOPPED)
    return running


@pytest.fixture
def answering(running: RunFolder) -> Iterator[Callable[..., None]]:
    """Let somebody answer the next command of the run."""
    left = threading.Event()
    threads: list[threading.Thread] = []

    def begin(*, taken: bool = True) -> None:
        def work() -> None:
            reader = CommandReader(running.commands)
            while not left.is_set():
                for command in reader.new():
                    EventWriter(running.events).emit(answer(command, f"heard {command.command}", taken=taken))
                time.sleep(0.005)

        threads.append(threading.Thread(target=work))
        threads[-1].start()

    yield begin
    left.set()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("name", WORDS)
def test_each_command_reaches_the_run_and_its_answer_the_person(
    running: RunFolder, answering: Callable[..., None], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    answering()
    assert main([*WORDS[name], "last", "--json"]) == 0
    told = capsys.readouterr()
    record = json.loads(told.out)
    assert (record["run"], record["status"]) == (running.id, "running")
    assert (record["answer"]["command"], record["answer"]["taken"]) == (name, True)
    assert f"{running.id}: heard {name} (" in told.err


def test_a_refused_command_is_a_no(
    running: RunFolder, answering: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    answering(taken=False)
    assert main(["pause", running.id]) == 1
    assert f"{running.id}: no: heard pause" in capsys.readouterr().out


@pytest.mark.parametrize("name", WORDS)
def test_a_run_that_does_not_answer_in_time_is_told_so(
    running: RunFolder, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main([*WORDS[name], running.id, "--wait", "0"]) == 1
    assert "has not answered within 0 s; it will read the command when it can" in capsys.readouterr().out
    assert [command.command for command in CommandReader(running.commands).new()] == [name]


def test_a_run_that_is_lost_while_it_is_asked_is_said_to_go_on_by_resume(
    running: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nobody(folder: RunFolder, *_: object) -> None:
        EventWriter(folder.events).emit(started(attempt=2, supervisor_mark="gone", worker_mark="gone"))

    monkeypatch.setattr(command_answer, "ask", nobody)
    assert main(["pause", running.id]) == 1
    said = capsys.readouterr().out
    assert "ended by itself first: it is lost. `pegbox resume" in said


@pytest.mark.parametrize("name", [name for name in WORDS if name != "resume"])
def test_a_run_that_is_over_is_asked_for_nothing(
    over: RunFolder, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main([*WORDS[name], over.id, "--json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out) == {"run": over.id, "status": "stopped", "answer": None}
    assert "isn't running: it is stopped" in told.err
    assert over.commands.read_bytes() == b""


@pytest.mark.parametrize("seconds", ["-1", "nan", "x", "1e9"])
def test_a_time_to_wait_that_is_none_is_a_matter_of_usage(seconds: str) -> None:
    with pytest.raises(SystemExit) as left:
        main(["stop", "last", "--wait", seconds])
    assert left.value.code == 2


def test_a_run_that_has_ended_is_continued_as_asked(
    over: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(resume, "continue_run", lambda folder, **named: asked.append((folder, named)))
    words = ["resume", "last", "--epochs", "5", "--max-steps", "9", "--set", "training.learning_rate=1e-4"]
    assert main([*words, "--detach", "--json"]) == 0
    assert asked == [(over, {"epochs": 5.0, "max_steps": 9, "sets": ["training.learning_rate=1e-4"]})]
    assert json.loads(capsys.readouterr().out) == {"run": over.id, "folder": str(over.path)}


@pytest.fixture
def elsewhere() -> RunFolder:
    """A run of another machine, or of a container that had another name."""
    folder = made()
    writer = EventWriter(folder.events)
    for event in (started(host="node-7"), *STORY[1:]):
        writer.emit(event)
    folder.owner.write_bytes(msgspec.json.encode(OwnerRecord(host="node-7", pid=7, process_mark="m")))
    return folder


@pytest.mark.parametrize(("change", "code"), [([], 1), (["--set", "training.learning_rate=1e-4"], 2)])
def test_a_run_whose_machine_is_gone_is_continued_once_a_person_says_that_it_is(
    elsewhere: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: list[str],
    code: int,
) -> None:
    launched: list[RunFolder] = []
    monkeypatch.setattr(continuing, "launch", launched.extend)
    words = ["resume", "last", "--wait", "0", "--detach", *change]
    assert main(words) == code
    told = capsys.readouterr()
    assert "carried by process 7 on node-7" in told.out + told.err
    assert "remove owner.json in the run's folder" in told.out + told.err
    assert launched == []
    elsewhere.owner.unlink()
    assert main(words) == 0
    assert launched == [elsewhere]


def test_a_run_with_damaged_changes_is_refused_in_words(over: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    over.changes.write_text("{}\n")
    assert main(["resume", "last", "--detach"]) == 2
    assert "changes.jsonl, line 1: holds no change of the recipe" in capsys.readouterr().err


def test_who_continues_a_run_sees_what_comes_and_not_its_past_again(
    over: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def goes_on(folder: RunFolder, **_: Any) -> None:
        writer = EventWriter(folder.events)
        writer.emit(Failed(what="it broke", where="loading", remedy="Mend it.", kind="crash"))
        folder.summary.write_text("{}")

    monkeypatch.setattr(resume, "continue_run", goes_on)
    assert main(["resume", "last", "--plain"]) == 1
    said = capsys.readouterr().out
    assert said.splitlines()[0] == "failed while loading: it broke"
    assert f"`pegbox resume {over.id}` goes on from its beginning" in said


@pytest.mark.parametrize("change", [["--epochs", "2"], ["--max-steps", "2"], ["--set", "training.length=64"]])
def test_a_run_that_goes_on_is_not_changed_on_the_way(
    running: RunFolder, capsys: pytest.CaptureFixture[str], change: list[str]
) -> None:
    assert main(["resume", "last", *change]) == 2
    assert "its settings can't be changed on the way. `pegbox stop" in capsys.readouterr().err
    assert running.commands.read_bytes() == b""


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[list[RunFolder]]:
    """Launch nothing, and keep what would have been."""
    kept: list[list[RunFolder]] = []
    monkeypatch.setattr(starting, "launch", lambda folders, gpu=None: kept.append(list(folders)))
    return kept


def test_several_recipes_are_handed_to_one_supervisor_in_their_order(
    tmp_path: Path, launched: list[list[RunFolder]], capsys: pytest.CaptureFixture[str]
) -> None:
    files = []
    for note in ("first", "second"):
        (tmp_path / note).mkdir()
        files.append(str(write_recipe_text(tmp_path / note, output={"note": note})))
    assert main(["train", *files, "--detach", "--json"]) == 0
    (folders,) = launched
    told = capsys.readouterr()
    assert [record["run"] for record in json.loads(told.out)] == [folder.id for folder in folders]
    assert ["first" in folder.recipe.read_text() for folder in folders] == [True, False]
    assert f"{folders[1].id} is queued behind it." in told.err


def test_no_run_is_made_where_one_of_the_recipes_is_refused(
    tmp_path: Path, launched: list[list[RunFolder]], capsys: pytest.CaptureFixture[str]
) -> None:
    good = write_recipe_text(tmp_path)
    bad = tmp_path / "bad.toml"
    bad.write_text('[model]\nname = "bundled"\n[rows]\nfile = "/no/such/rows.jsonl"\n')
    assert main(["train", str(good), str(bad), "--detach"]) == 2
    assert "rows.jsonl" in capsys.readouterr().err
    assert launched == []
    assert all_runs() == []


def test_a_narrow_terminal_cuts_no_run_and_no_status(capsys: pytest.CaptureFixture[str]) -> None:
    summary = summarise(
        "20261122-180329-trainable-tokens-f00d",
        fold([*STORY, Restarting(attempt=2, why="w", after_seconds=1.0, left=4)]),
    )
    long = msgspec.structs.replace(summary, model="some-org/a-model-with-quite-a-long-name-of-its-own")
    Console(width=80).print(runs._table([long]))
    shown = capsys.readouterr().out
    assert "20261122-180329-trainable-tokens-f00d" in shown
    assert "restarting" in shown
