"""A cluster's library in a process of its own: what it answers, and what is told when it is gone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pegbox_methods.refusal import Refusal
from pegbox_runs.fleet import apart
from pegbox_runs.fleet.apart import Answer, ApartCluster, Call, answered
from pegbox_runs.fleet.cluster import JobState, Post, Wanted

ANSWERS = """
import sys
from pegbox_runs.fleet.apart import Call, answered
import msgspec, os
from tests.runs.fleet.test_apart import Made

cluster = Made()
for line in sys.stdin.buffer:
    call = msgspec.json.decode(line, type=Call)
    if call.name == "words":
        os._exit(1)
    if call.name == "slots":
        import time; time.sleep(60)
    os.write(1, msgspec.json.encode(answered(cluster, call)) + b"\\n")
"""


class Made:
    """A cluster that remembers what it was asked."""

    name = "a made-up cluster"

    def __init__(self) -> None:
        self.wanted = Wanted()
        self.places: Sequence[Path] = ()

    def reach(self) -> None:
        """Be there."""

    def has_gpus(self) -> bool:
        return True

    def check(self, places: Sequence[Path]) -> None:
        self.places = places
        raise Refusal(f"{places[0]} can't be seen.")

    def slots(self) -> int:
        return 3

    def words(self) -> str:
        return "nothing"

    def submit(self, post: Post) -> str:
        if post.name == "no":
            raise OSError("it is full")
        return f"{post.name}-{post.ticket}-{self.wanted.processes}"

    def state(self, id_: str) -> JobState:
        return JobState("gone", f"{id_} was lost", out_of_memory=True)

    def cancel(self, id_: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


@pytest.fixture
def cluster() -> ApartCluster:
    return ApartCluster("made", Made(), (sys.executable, "-c", ANSWERS))


def test_what_is_asked_of_it_is_answered_as_the_cluster_itself_would(cluster: ApartCluster) -> None:
    cluster.wanted = Wanted(processes=2)
    cluster.reach()
    assert cluster.name == "a made-up cluster"
    assert cluster.has_gpus()
    assert cluster.submit(Post(folder=Path("/runs/a"), ticket="t", name="post")) == "post-t-2"
    assert cluster.state("x") == JobState("gone", "x was lost", out_of_memory=True)
    cluster.cancel("x")
    with pytest.raises(Refusal, match=r"^/home/rows can't be seen\.$"):
        cluster.check([Path("/home/rows")])
    with pytest.raises(OSError, match=r"^it is full$"):
        cluster.submit(Post(folder=Path("/runs/a"), ticket="t", name="no"))
    cluster.close()


def test_where_the_library_ends_its_process_that_is_told_and_nobody_dies_of_it(
    cluster: ApartCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.reach()
    said = "a made-up cluster can't be reached any more"
    with pytest.raises(Refusal, match=said):
        cluster.words()
    with pytest.raises(OSError, match=said):
        cluster.submit(Post(folder=Path("/runs/a"), ticket="t", name="post"))
    assert cluster.state("x") == JobState("gone", said)
    cluster.cancel("x")
    monkeypatch.setattr(cluster, "_not_before", 0.0)  # later it is tried once more
    assert cluster.has_gpus()
    cluster.close()


def test_one_that_gives_no_answer_is_given_up(cluster: ApartCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.reach()
    monkeypatch.setattr(apart, "ANSWER_SECONDS", 0.3)
    with pytest.raises(Refusal, match="can't be reached any more"):
        cluster.slots()


@pytest.mark.parametrize(
    "call", [Call("close", Wanted()), Call("submit", Wanted(), (1, 2, 3)), Call("reach", Wanted(), ("x",))]
)
def test_a_call_that_is_none_is_answered_as_such(call: Call) -> None:
    assert answered(Made(), call) == Answer(failed=f"nobody knows what {call.name} is")
