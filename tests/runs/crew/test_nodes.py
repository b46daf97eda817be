"""Several machines of one run: how they come together, what they say to each other, and what is refused."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pegbox_methods.events import Change, Notice
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import recipe_from_table
from pegbox_methods.refusal import Refusal
from pegbox_runs.changes import Revision, add_revision
from pegbox_runs.crew import node as node_module
from pegbox_runs.crew.launched import RankExit
from pegbox_runs.crew.launching import Launch
from pegbox_runs.crew.node import Part, take_part
from pegbox_runs.crew.nodes import reception
from pegbox_runs.crew.nodes.desk import Desk
from pegbox_runs.crew.nodes.differing import differing_keys, plain, versions_here, with_places_of
from pegbox_runs.crew.nodes.line import Line
from pegbox_runs.crew.nodes.node_folder import node_folder
from pegbox_runs.crew.nodes.place import Nodes, free_port, listen, parse_rendezvous, read_nodes, write_nodes
from pegbox_runs.crew.nodes.words import FromHead, Hello, Left, Ready
from pegbox_runs.crew.rank_files import RankRecord, read_ranks, write_rank
from pegbox_runs.models import BUNDLED
from pegbox_runs.preflight import check
from pegbox_runs.run_folder import RunFolder, create

ROWS = str(BUNDLED / "rows.jsonl")
SECONDS = 20.0


def recipe_of(**tables: dict[str, Any]) -> Recipe:
    table = {"model": {"name": "bundled"}, "rows": {"file": ROWS, "limit": 40}, "devices": {"processes": 2}}
    table |= {"training": {"accumulation": 2, "max_steps": 4}, **tables}
    return check(recipe_from_table(table, file="a test", folder=Path("/")), file="a test", nodes=2).recipe


@pytest.fixture
def run() -> RunFolder:
    recipe = recipe_of()
    checked = check(recipe, file="a test", nodes=2)
    return create(checked.recipe, checked.environment())


@pytest.fixture
def nodes() -> Nodes:
    return Nodes(nodes=2, host="127.0.0.1", port=free_port(), recipe="my recipe.toml")


class Pretended:
    """In place of a launcher: its processes say once that they train, and end when they shall."""

    over = threading.Event()
    code = 0

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.killed = False
        for rank in launch.local_ranks:
            now = time.time()
            record = RankRecord(
                attempt=launch.attempt, rank=rank, host="nodeb", pid=1, began=now, beat=now, step=3, doing="training",
                advanced=now,
            )  # fmt: skip
            write_rank(RunFolder(launch.folder), record)

    @classmethod
    def start(cls, launch: Launch) -> Pretended:
        return cls(launch)

    def poll(self) -> int | None:
        return self.code if self.over.is_set() or self.killed else None

    def exits(self) -> list[RankExit]:
        return [RankExit(1, 1, self.code)] if self.code else []

    def kill(self) -> bool:
        self.killed = True
        return True


@pytest.fixture(autouse=True)
def pretended(monkeypatch: pytest.MonkeyPatch) -> type[Pretended]:
    monkeypatch.setattr(Pretended, "over", threading.Event())
    monkeypatch.setattr(Pretended, "code", 0)
    monkeypatch.setattr(node_module, "Launched", Pretended)
    monkeypatch.setattr(node_module, "TRY_SECONDS", 0.05)
    return Pretended


class Other:
    """Node 1's command, in a thread."""

    def __init__(self, nodes: Nodes, recipe: Recipe | None = None, node: int = 1) -> None:
        self.said: list[str] = []
        self.ended: bool | str | None = None
        self._part = Part(
            nodes,
            node,
            recipe or recipe_of(),
            lambda folder, attempt: Launch(
                folder=folder.path, attempt=attempt, device="cpu", processes=2, nodes=2, node_rank=node
            ),
        )
        self._thread = threading.Thread(target=self._go, daemon=True)
        self._thread.start()

    def _go(self) -> None:
        try:
            self.ended = take_part(self._part, self.said.append)
        except Refusal as refusal:
            self.ended = refusal.sentence

    def end(self) -> bool | str | None:
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        return self.ended


@contextmanager
def desk_of(run: RunFolder, nodes: Nodes, attempt: int = 1) -> Iterator[Desk]:
    desk = Desk(run, attempt, nodes)
    desk.open()
    with ExitStack() as stack:
        stack.callback(desk.close, "aborted")
        yield desk


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_node_takes_part_from_its_coming_to_the_runs_end(run: RunFolder, nodes: Nodes, pretended: Any) -> None:
    other = Other(nodes)
    with desk_of(run, nodes) as desk:
        assert desk.await_nodes()
        assert desk.interface == "lo"
        assert desk.begin() > 0
        until(lambda: 1 in read_ranks(run, 1))
        assert read_ranks(run, 1)[1].step == 3
        assert desk.ends() == {}
        pretended.over.set()
        until(desk.ends)
        assert desk.ends()[1].exits == {1: 0}
        desk.close("finished")
    assert other.end() is True
    assert not node_folder(run.id, 1).path.exists()


def test_a_process_that_is_killed_elsewhere_is_named_and_the_node_comes_again(
    run: RunFolder, nodes: Nodes, pretended: Any
) -> None:
    other = Other(nodes)
    with desk_of(run, nodes) as desk:
        desk.await_nodes()
        desk.begin()
        pretended.code = -9
        pretended.over.set()
        until(desk.ends)
        assert desk.ends()[1].said(1) == "it was killed by SIGKILL"
        desk.close("again")
    pretended.over.clear()
    with desk_of(run, nodes, attempt=2) as desk:
        assert desk.await_nodes(patience=SECONDS)
        desk.begin()
        until(lambda: 1 in read_ranks(run, 2))
        desk.close("stopped")
    assert other.end() is True
    assert any("killed by SIGKILL" in line for line in other.said)


def test_processes_elsewhere_are_ended_when_node_0_says_so(run: RunFolder, nodes: Nodes) -> None:
    other = Other(nodes)
    with desk_of(run, nodes) as desk:
        desk.await_nodes()
        desk.begin()
        until(lambda: 1 in read_ranks(run, 1))
        desk.kill()
        assert desk.await_dead(SECONDS)
        desk.close("failed")
    assert other.end() is False


def test_times_of_another_machines_clock_are_told_in_node_0s(
    run: RunFolder, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ahead:
        monotonic, sleep = time.monotonic, time.sleep

        @staticmethod
        def time() -> float:
            return time.time() + 3600

    monkeypatch.setattr(node_module, "time", Ahead)
    began = time.time()
    with desk_of(run, nodes) as desk:
        Other(nodes)
        desk.await_nodes()
        desk.begin()
        until(lambda: 1 in read_ranks(run, 1))
        assert read_ranks(run, 1)[1].beat < began - 1800


def test_what_a_node_keeps_is_node_0s_recipe_with_its_own_places(run: RunFolder, nodes: Nodes, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere.jsonl"
    moved.write_bytes(Path(ROWS).read_bytes())
    own = recipe_of(rows={"file": str(moved), "limit": 40})
    with desk_of(run, nodes) as desk:
        Other(nodes, own)
        assert desk.await_nodes()
        told = node_folder(run.id, 1).recipe.read_text()
        assert str(moved) in told
        assert "max_steps = 4" in told


def test_another_recipe_is_refused_on_both_sides_by_its_key(run: RunFolder, nodes: Nodes) -> None:
    other = Other(nodes, recipe_of(training={"accumulation": 2, "max_steps": 5}))
    with desk_of(run, nodes) as desk:
        with pytest.raises(Refusal, match=r"node 1 .*training\.max_steps = 5 here, 4 there"):
            desk.await_nodes()
        assert "training.max_steps = 5 here, 4 there" in str(other.end())


def test_other_versions_are_refused_on_both_sides_by_name(
    run: RunFolder, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_module, "versions_here", lambda: {**versions_here(), "peft": "0.1"})
    other = Other(nodes)
    with desk_of(run, nodes) as desk:
        with pytest.raises(Refusal, match=r"node 1 .* other versions .*peft 0\.1 here"):
            desk.await_nodes()
        assert "peft 0.1 here" in str(other.end())


def test_a_node_that_never_comes_is_named_with_the_command_for_it(run: RunFolder, nodes: Nodes) -> None:
    told: list[Notice] = []
    with desk_of(run, nodes) as desk, pytest.raises(Refusal) as refused:
        desk.await_nodes(tell=told.append, patience=0.2)
    assert "node 1 of 2 hasn't come within 0 seconds" in refused.value.sentence
    assert "pegbox train 'my recipe.toml' --nodes 2 --node-rank 1 --rendezvous 127.0.0.1" in refused.value.sentence


def test_waiting_for_nodes_ends_when_it_is_called_off(run: RunFolder, nodes: Nodes) -> None:
    with desk_of(run, nodes) as desk:
        assert not desk.await_nodes(lambda: True)


def test_a_second_machine_of_the_same_number_is_sent_away(run: RunFolder, nodes: Nodes) -> None:
    with desk_of(run, nodes) as desk:
        Other(nodes)
        desk.await_nodes()
        assert "node 1 has come already" in str(Other(nodes).end())
        assert desk.await_nodes()


def test_a_machine_of_another_number_of_machines_is_sent_away(run: RunFolder, nodes: Nodes) -> None:
    with desk_of(run, nodes) as desk:
        said = Other(msgspec.structs.replace(nodes, nodes=3), node=2).end()
        assert "this run is on 2 machines" in str(said)
        assert not desk.ends()


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.0\r\n\r\n", b"{}\n", b"x" * (3 * 2**20), b'{"type":"ready"}\n', b""])
def test_strangers_disturb_nobody(run: RunFolder, nodes: Nodes, noise: bytes) -> None:
    with desk_of(run, nodes) as desk:
        with socket.create_connection((nodes.host, nodes.port)) as stranger, suppress(OSError):
            stranger.sendall(noise)
        Other(nodes)
        assert desk.await_nodes(patience=SECONDS)


def test_records_of_processes_that_arent_the_machines_own_are_passed_over(
    run: RunFolder, nodes: Nodes, pretended: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Launch, "local_ranks", property(lambda _: range(2)))
    with desk_of(run, nodes) as desk:
        Other(nodes)
        desk.await_nodes()
        desk.begin()
        until(lambda: 1 in read_ranks(run, 1))
        assert 0 not in read_ranks(run, 1)


def come(nodes: Nodes) -> Line[Any]:
    """Come as node 1, and be ready."""
    line: Line[Any] = Line(socket.create_connection((nodes.host, nodes.port)), FromHead)
    recipe = plain(recipe_of())
    line.say(Hello(node=1, nodes=2, host="x\x1b[2J", versions=versions_here(), now=time.time(), recipe=recipe))
    line.say(Ready())
    return line


def test_a_node_whose_line_breaks_is_lost(run: RunFolder, nodes: Nodes) -> None:
    with desk_of(run, nodes) as desk:
        line = come(nodes)
        assert desk.await_nodes(patience=SECONDS)
        desk.begin()
        line.close()
        until(desk.ends)
        assert desk.ends()[1].lost == "it closed the connection"
        assert "\x1b" not in desk.ends()[1].host


def test_a_node_that_is_ended_there_has_left_and_is_named_so(
    run: RunFolder, nodes: Nodes, pretended: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(_: Any) -> int | None:
        raise KeyboardInterrupt("SIGTERM")

    monkeypatch.setattr(pretended, "poll", ended)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with desk_of(run, nodes) as desk:
        Other(nodes)
        desk.await_nodes()
        desk.begin()
        until(desk.ends)
        assert desk.ends()[1].gone == f"node 1 ({socket.gethostname()}) left: its command was ended there by SIGTERM"


def test_a_node_that_leaves_before_the_start_may_come_again(run: RunFolder, nodes: Nodes) -> None:
    with desk_of(run, nodes) as desk:
        line = come(nodes)
        assert desk.await_nodes(patience=SECONDS)
        line.say(Left(why="it was ended"))
        line.close()
        assert not desk.await_nodes(lambda: 1 in desk.ends())
        Other(nodes)
        assert desk.await_nodes(patience=SECONDS)


def test_a_node_that_comes_back_in_the_midst_of_an_attempt_waits_for_the_next(
    run: RunFolder, nodes: Nodes, pretended: Any
) -> None:
    with desk_of(run, nodes) as desk:
        line = come(nodes)
        assert desk.await_nodes(patience=SECONDS)
        desk.begin()
        line.close()
        until(desk.ends)
        other = Other(nodes)
        time.sleep(0.5)
        assert desk.ends()[1].lost
        assert other.said == []
        desk.close("again")
    with desk_of(run, nodes, attempt=2) as desk:
        assert desk.await_nodes(patience=SECONDS)
        desk.begin()
        desk.close("finished")
    assert other.end() is True


def test_a_node_whose_processes_cant_be_started_says_why(
    run: RunFolder, nodes: Nodes, pretended: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Launch) -> Pretended:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pretended, "start", full)
    with desk_of(run, nodes) as desk:
        other = Other(nodes)
        desk.await_nodes()
        desk.begin()
        assert "No space left on device" in str(other.end())
        until(desk.ends)
        assert "No space left on device" in str(desk.ends()[1].gone)


def test_a_head_that_names_other_files_by_changes_of_the_recipe_is_refused(run: RunFolder, nodes: Nodes) -> None:
    change = Change(key="rows.file", before=ROWS, after="/etc/passwd")
    add_revision(run, Revision(time=1.0, step=1, why="asked", changes=(change,)))
    other = Other(nodes)
    with desk_of(run, nodes) as desk:
        with pytest.raises(Refusal, match=r"rows\.file was changed on the way"):
            desk.await_nodes()
        assert "rows.file was changed on the way" in str(other.end())


def test_a_run_is_named_so_that_its_folder_lies_where_it_should() -> None:
    told = {"type": "welcome", "run": "../../elsewhere", "attempt": 1, "recipe": "", "changes": "", "environment": ""}
    with pytest.raises(msgspec.ValidationError, match=r"\$\.run"):
        msgspec.json.decode(msgspec.json.encode(told), type=FromHead)


def test_more_strangers_than_anybody_needs_are_sent_away_unheard(
    run: RunFolder, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception, "MOST_STRANGERS", 4)
    with desk_of(run, nodes) as desk, ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection((nodes.host, nodes.port))) for _ in range(4)]
        with socket.create_connection((nodes.host, nodes.port)) as fifth:
            fifth.settimeout(5.0)
            assert fifth.recv(1) == b""
        for one in idle:
            one.close()
        Other(nodes)
        assert desk.await_nodes(patience=SECONDS)


def test_a_head_that_doesnt_answer_is_refused_with_what_to_do(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "CONNECT_SECONDS", 0.2)
    said = str(Other(nodes).end())
    assert f"node 0 doesn't answer at 127.0.0.1:{nodes.port}" in said
    assert "--node-rank 0" in said


def test_a_port_in_use_is_named(nodes: Nodes) -> None:
    with listen(nodes.host, nodes.port), pytest.raises(Refusal, match=f"port {nodes.port} .* is in use"):
        listen(nodes.host, nodes.port)


def test_a_head_that_is_another_machine_is_refused() -> None:
    with pytest.raises(Refusal, match=r"192\.0\.2\.200, which isn't an address of this machine"):
        listen("192.0.2.200", free_port())


@pytest.mark.parametrize(
    "text", ["", "host", "host:", ":29500", "host:x", "host:80", "host:70000", "a b:29500", "::1:29500"]
)
def test_what_isnt_host_and_port_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="HOST:PORT"):
        parse_rendezvous(text)


def test_a_host_and_a_port_are_taken_apart() -> None:
    assert parse_rendezvous("node-0.example.org:29500") == ("node-0.example.org", 29500)


def test_the_machines_of_a_run_are_kept_in_its_folder(run: RunFolder, nodes: Nodes) -> None:
    assert read_nodes(run) is None
    write_nodes(run, nodes)
    assert read_nodes(run) == nodes
    (run.path / "launch" / "nodes.json").write_text("{")
    with pytest.raises(Refusal, match=r"nodes\.json"):
        read_nodes(run)


def test_only_where_files_lie_may_differ_between_recipes(tmp_path: Path) -> None:
    moved = tmp_path / "rows.jsonl"
    moved.write_bytes(Path(ROWS).read_bytes())
    here, there = recipe_of(), recipe_of(rows={"file": str(moved), "limit": 40})
    assert differing_keys(plain(here), plain(there)) == []
    assert with_places_of(here, there) == there
