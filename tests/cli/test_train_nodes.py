"""`pegbox train` on several machines: what is refused at once, and a run that two of them carry."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pegbox.node_commands import nodes_of
from pegbox.parser import build_parser
from pegbox_methods.events import Finished, Joined, RankFailed, Resumed, Step
from pegbox_runs.crew.nodes.place import free_port
from pegbox_runs.crew.rank_files import RankRecord, read_ranks
from pegbox_runs.models import BUNDLED
from pegbox_runs.run_folder import RunFolder, all_runs
from tests.commands import events_of, pegbox, write_recipe_text

PATIENCE_SECONDS = 180


def recipe_in(folder: Path, **tables: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    return write_recipe_text(folder, **{"devices": {"processes": 2}, **tables})


def refused(home: Path, *arguments: str) -> str:
    done = pegbox("train", *arguments, home=home)
    assert done.returncode == 2, done.stderr
    assert not (home / "runs").exists() or not list((home / "runs").iterdir())
    return done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--nodes", "2"), "go together"),
        (("--nodes", "2", "--node-rank", "2", "--rendezvous", "localhost:29500"), "expected 0 to 1"),
        (("--nodes", "2", "--node-rank", "0", "--rendezvous", "localhost"), "HOST:PORT"),
        (("--nodes", "2", "--node-rank", "0", "--rendezvous", "no-such-host.invalid:29500"), "no-such-host.invalid"),
        (("--nodes", "2", "--node-rank", "0", "--rendezvous", "192.0.2.200:29500"), "isn't an address of this machine"),
        (("--nodes", "2", "--node-rank", "1", "--rendezvous", "localhost:29500", "--detach"), "--detach is for node 0"),
        (("--nodes", "3", "--node-rank", "0", "--rendezvous", "localhost:29500"), "devices.processes"),
        (("--nodes", "2", "--print", "sky"), "--accelerator"),
    ],
)
def test_what_cant_be_is_refused_before_there_is_a_run(
    home: Path, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    assert said in refused(home, str(recipe_in(tmp_path / "a")), *options)


def test_a_port_in_use_is_refused_before_there_is_a_run(home: Path, tmp_path: Path) -> None:
    with socket.create_server(("", 0)) as taken:
        where = f"localhost:{taken.getsockname()[1]}"
        said = refused(home, str(recipe_in(tmp_path / "a")), "--nodes", "2", "--node-rank", "0", "--rendezvous", where)
    assert "is in use" in said


def test_the_commands_of_all_machines_are_printed_and_nothing_begins(home: Path, tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path / "a")
    done = pegbox("train", str(recipe), "--nodes", "2", "--print", "commands", "--json", home=home)
    text = json.loads(done.stdout)["text"]
    assert text.count(f"pegbox train {recipe} --nodes 2 --node-rank ") == 2
    assert not home.exists()


def test_a_script_may_give_all_machines_the_same_command() -> None:
    where = ["--nodes", "2", "--node-rank", "1", "--rendezvous", "localhost:29500"]
    asked = build_parser().parse_args(["train", "recipe.toml", "--go-on", "--plain", *where])
    assert nodes_of(asked)[1] == 1


class Machines:
    """Two of them on this one: a home each, and node 1's files in a folder of its own."""

    def __init__(self, place: Path, **tables: dict[str, Any]) -> None:
        self.where = f"127.0.0.1:{free_port()}"
        self.homes = [place / "home0", place / "home1"]
        recipes = [recipe_in(place / name, **tables) for name in ("first", "second")]
        moved = place / "second" / "rows.jsonl"
        moved.write_bytes((BUNDLED / "rows.jsonl").read_bytes())
        text = recipes[1].read_text().replace(str(BUNDLED / "rows.jsonl"), str(moved))
        recipes[1].write_text(text)
        self.recipes = recipes
        self.started: list[subprocess.Popen[str]] = []

    def start(self, node: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "pegbox", "train", str(self.recipes[node]), "--plain", "--nodes", "2"),
                *("--node-rank", str(node), "--rendezvous", self.where),
            ],
            env={**os.environ, "PEGBOX_HOME": str(self.homes[node]), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def end(self) -> None:
        """Leave nothing behind, whatever a test found."""
        for process in self.started:
            process.kill()
        pegbox("abort", "last", home=self.homes[0])

    def run(self, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
        monkeypatch.setenv("PEGBOX_HOME", str(self.homes[0]))
        return all_runs()[-1]

    def rank_1_at(self, step: int) -> RankRecord:
        """Wait for node 1's process to have done so many steps, by its own file."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and all(process.poll() is None for process in self.started):
            for part in (self.homes[1] / "nodes").glob("*"):
                found = read_ranks(RunFolder(part), 1).get(1)
                if found is not None and found.step >= step:
                    return found
            time.sleep(0.05)
        raise AssertionError(f"node 1's process never did step {step}: {ends(*self.started)}")


@pytest.fixture
def made() -> Iterator[Callable[..., Machines]]:
    """Give what makes two machines; none of their processes outlives the test."""
    with ExitStack() as stack:

        def make(place: Path, **tables: dict[str, Any]) -> Machines:
            machines = Machines(place, **tables)
            stack.callback(machines.end)
            return machines

        yield make


def ends(*processes: subprocess.Popen[str]) -> list[str]:
    return [process.communicate(timeout=PATIENCE_SECONDS)[0] for process in processes]


@pytest.mark.slow
def test_two_machines_carry_a_run_and_go_on_when_a_process_of_one_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Callable[..., Machines]
) -> None:
    tables: dict[str, Any] = {"training": {"max_steps": 20, "epochs": 50}, "evaluation": {"samples": 0}}
    machines = made(tmp_path, **tables, method={"name": "lora"})
    processes = [machines.start(1), machines.start(0)]
    os.kill(machines.rank_1_at(4).pid, signal.SIGKILL)
    other, head = ends(*processes)
    assert [process.returncode for process in processes] == [0, 0], (other, head)
    events = events_of(machines.run(monkeypatch))
    first = next(event for event in events if isinstance(event, RankFailed) and event.first)
    assert (first.rank, first.signal) == (1, "SIGKILL")
    assert sum(isinstance(event, Joined) and len(event.members) == 2 for event in events) == 2
    assert any(isinstance(event, Resumed) and event.step > 0 for event in events)
    assert isinstance(events[-1], Finished)
    assert "killed by SIGKILL" in other
    steps = [event.step for event in events if isinstance(event, Step)]
    assert sorted(set(steps)) == list(range(1, 21))
