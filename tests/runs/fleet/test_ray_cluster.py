"""A comparison on Ray: what each entry asks for, which addresses are understood, and what can't be reached."""

from __future__ import annotations

import socket
import sys
import time

import pytest

from pegbox_methods.refusal import Refusal
from pegbox_runs.fleet import choosing, ray_cluster
from pegbox_runs.fleet.choosing import cluster_on
from pegbox_runs.fleet.cluster import Wanted
from pegbox_runs.fleet.ray_cluster import RayCluster
from pegbox_runs.fleet.ray_share import carries, share_of

GIB = 2.0**30


def test_without_gpus_each_entry_gets_as_many_cores_as_the_smallest_node_has() -> None:
    share = share_of([{"CPU": 4, "memory": 8 * GIB}, {"CPU": 64, "memory": 256 * GIB}], Wanted(memory_bytes=2**31))
    assert share == {"CPU": 4, "memory": 2 * GIB}
    assert carries({"CPU": 64, "memory": 256 * GIB}, share) == 16
    assert carries({"CPU": 64, "memory": 5 * GIB}, share) == 2, "memory bounds it too"


def test_more_entries_at_once_part_the_cores() -> None:
    nodes = [{"CPU": 8.0}, {"CPU": 8.0}]
    assert share_of(nodes, Wanted())["CPU"] == 8
    assert share_of(nodes, Wanted(at_once=8))["CPU"] == 2
    assert share_of(nodes, Wanted(at_once=1000))["CPU"] == 1
    assert share_of(nodes, Wanted(at_once=1))["CPU"] == 8, "fewer than there is room for leave nodes idle"


@pytest.mark.parametrize("sizes", [(4,), (8, 4), (64, 3, 5), (1, 1), (7, 7, 2)])
def test_asking_for_as_many_as_fit_changes_no_entrys_share(sizes: tuple[int, ...]) -> None:
    nodes = [{"CPU": float(size)} for size in sizes]
    share = share_of(nodes, Wanted())
    room = sum(carries(node, share) for node in nodes)
    assert share_of(nodes, Wanted(at_once=room)) == share


def test_where_there_are_gpus_each_process_gets_one_and_its_part_of_the_cores() -> None:
    nodes = [{"CPU": 64.0, "GPU": 8.0}, {"CPU": 16.0, "GPU": 4.0}, {"CPU": 96.0}]
    share = share_of(nodes, Wanted(memory_bytes=2**31))
    assert share == {"GPU": 1, "CPU": 4}, "the forecast memory is the card's"
    assert [carries(node, share) for node in nodes] == [8, 4, 0]
    assert share_of(nodes, Wanted(processes=2)) == {"GPU": 2, "CPU": 8}


@pytest.mark.parametrize("on", ["ray:head", "ray://", "ray:1:x", "ray://h:99999", "ray:"])
def test_an_address_that_is_none_is_refused_with_those_that_are(on: str) -> None:
    with pytest.raises(Refusal, match=r"ray:HOST:PORT"):
        RayCluster(on, Wanted())


def test_a_kind_that_is_not_known_is_refused_with_the_nearest() -> None:
    with pytest.raises(Refusal, match='did you mean "slurm"'):
        cluster_on("slrum:partition=gpu", Wanted())
    with pytest.raises(Refusal, match="known: ray, slurm"):
        choosing.kind_of("kubernetes")


def test_a_head_that_does_not_answer_is_told_within_seconds() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    begun = time.monotonic()
    with pytest.raises(Refusal, match="nothing answers there"):
        RayCluster(f"ray:127.0.0.1:{port}", Wanted()).reach()
    assert time.monotonic() - begun < 15


def test_without_ray_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Refusal, match=r"pip install 'pegbox\[ray\]'"):
        RayCluster("ray", Wanted()).reach()


class PretendedRay:
    """As much of Ray as a cluster asks for once it is reached."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.inits = 0

    def init(self, **given: object) -> None:
        self.inits += 1
        if self.inits <= self.refusals:
            raise ConnectionAbortedError("Starting Ray client server failed.")

    def wait(self, *_: object, **__: object) -> None:
        raise ConnectionError("the head is gone")


def test_a_busy_client_server_is_asked_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    for refusals in (1, 2):
        ray = PretendedRay(refusals)
        monkeypatch.setitem(sys.modules, "ray", ray)
        monkeypatch.setattr(ray_cluster, "_refuse_deaf", lambda *_: None)
        cluster = RayCluster("ray://head", Wanted())
        if refusals == 1:
            cluster.reach()
        else:
            with pytest.raises(Refusal, match="can't be reached: Starting Ray client server failed"):
                cluster.reach()
        assert ray.inits == 2


def test_a_head_that_is_lost_takes_no_entry_with_it_whose_post_may_live(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = RayCluster("ray://head", Wanted())
    monkeypatch.setattr(cluster, "_ray", PretendedRay())
    monkeypatch.setattr(cluster, "_posts", {"pegbox-lora.seed-1-t": object()})
    assert cluster.state("pegbox-lora.seed-1-t").phase == "waiting", "its own file tells whether it works"
