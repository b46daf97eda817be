"""A comparison on a cluster: what this machine lacks speaks against none, and it goes on with what there is by then."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from pegbox_hardware.gpu import Gpu
from pegbox_hardware.machine import probe
from pegbox_methods.recipe import Devices, Training
from pegbox_methods.refusal import Refusal
from pegbox_runs import conditions, preflight
from pegbox_runs.arena.asking import costs, fleet
from pegbox_runs.arena.asking.creating import add_contestants, check_comparison, contestants_named, create_comparison
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.directing import start
from pegbox_runs.arena.spec import read_comparison
from pegbox_runs.fleet.cluster import Wanted
from tests.runs.arena.test_creating import RECIPE, changed, wanted
from tests.runs.fleet.pretended_cluster import PretendedCluster


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> PretendedCluster:
    """The one that every `--on` names."""
    one = PretendedCluster(Path("/"), slots=2)

    def named(on: str, asked: Wanted) -> PretendedCluster:
        assert on == "ray"
        one.wanted = asked
        return one

    monkeypatch.setattr(fleet, "cluster_on", named)
    return one


def made(**changes: object) -> ComparisonFolder:
    return create_comparison(check_comparison(wanted(on="ray", **changes)))


def test_what_this_machines_gpu_cannot_do_is_not_refused_where_the_cluster_has_some(
    cluster: PretendedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 4 * 2**30
    card = Gpu(index=0, name="GTX 980", uuid="", memory_total=size, memory_free=size, compute_capability="5.2")
    here = msgspec.structs.replace(probe(), gpus=(card,))
    for module in (conditions, costs, preflight):
        monkeypatch.setattr(module, "probe", lambda: here)
    with pytest.raises(Refusal, match=r"needs a card of compute capability 6\.0"):
        check_comparison(wanted("qlora"))
    cluster.gpus = True
    check_comparison(wanted("qlora", on="ray"))
    here = msgspec.structs.replace(here, gpus=())
    assert check_comparison(wanted("qlora", on="ray")).seconds is None, "a processor's pace says nothing of theirs"
    many = changed(devices=Devices(processes=4), training=Training(accumulation=4))
    assert cluster.wanted.processes == 1
    check_comparison(wanted(recipe=many, on="ray"))
    assert cluster.wanted.processes == 4, "who carries so many finds no node with room, if there is none"


def test_a_comparison_that_goes_on_uses_what_its_cluster_has_grown_by(
    cluster: PretendedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[ComparisonFolder] = []
    monkeypatch.setattr(start, "start_director", started.append)
    folder = made()
    before = read_comparison(folder)
    assert start.continue_director(folder) is None
    cluster.room = 5
    said = start.continue_director(folder)
    assert said == "the pretended cluster has grown: 5 at once by now, 1 node."
    after = read_comparison(folder)
    assert after.asked == msgspec.structs.replace(before.asked, at_once=5)
    assert after.recipes == before.recipes
    cluster.room = 1
    assert start.continue_director(folder) is None
    assert len(read_comparison(folder).asked.places) == 5, "who waits for a node does no harm"
    assert started == [folder] * 3


def test_a_number_that_was_asked_for_holds_though_the_cluster_grows(
    cluster: PretendedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "start_director", lambda _: None)
    folder = made(at_once=3)
    assert read_comparison(folder).asked.at_once == 2, "as many as there was room for"
    cluster.room = 50
    start.continue_director(folder)
    assert read_comparison(folder).asked.at_once == 3


def test_a_cluster_that_could_not_carry_it_any_more_is_told_before_a_director_is_started(
    cluster: PretendedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "start_director", lambda _: pytest.fail("it was started"))
    folder = made()
    looked_at: list[Path] = []

    def unseen(places: list[Path]) -> None:
        looked_at.extend(places)
        raise Refusal("node-7 doesn't see it")

    monkeypatch.setattr(cluster, "check", unseen)
    with pytest.raises(Refusal, match="node-7 doesn't see it"):
        start.continue_director(folder)
    assert looked_at[0] == folder.path.parent, "the first is written to"
    assert Path(RECIPE.rows.file) in looked_at
    with pytest.raises(Refusal, match="node-7 doesn't see it"):
        add_contestants(folder, contestants_named(RECIPE, "rslora"))
    assert read_comparison(folder).asked.contestants == ("lora", "dora"), "who joins is held against the nodes before"
