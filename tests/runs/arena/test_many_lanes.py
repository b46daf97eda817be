"""What a director holds of each lane that waits for a place on a cluster: a thousand may."""

from __future__ import annotations

import threading
import time
import tracemalloc
from pathlib import Path

from pegbox_runs.arena.directing.carrying import Director
from pegbox_runs.commands import CommandReader, send
from pegbox_runs.curve import Curves
from pegbox_runs.fleet.remote_supply import RemoteSupply
from pegbox_runs.supervision.owner import Ownership
from pegbox_runs.supervision.policy import RestartPolicy
from tests.bench.director_of_entries import BusyCluster
from tests.commands import wait_until
from tests.runs.arena.made_up_comparisons import made

LANES = 40


def test_a_lane_that_waits_holds_little() -> None:
    folder = made("lora", "dora", seeds=range(1, 1 + LANES), search=False, on="ray", at_once=2 * LANES)
    cluster = BusyCluster()
    ownership = Ownership.take(folder)
    director = Director(folder, lambda _: RemoteSupply(cluster, "ray"), RestartPolicy())
    carrying = threading.Thread(target=director.work)
    held: list[int] = []
    tracemalloc.start()
    try:
        carrying.start()
        for lanes in (LANES, 2 * LANES):  # what all share is there with the first half already
            wait_until(lambda wanted=lanes: len(cluster.jobs) >= wanted)
            held.append(tracemalloc.get_traced_memory()[0])
        time.sleep(1.5)  # until each has looked for commands
        held[-1] = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        send(folder.commands, "abort")
        carrying.join()
        ownership.release()
    assert (held[-1] - held[0]) / LANES < 12_000


def test_looking_for_commands_takes_no_more_room_than_they_do(tmp_path: Path) -> None:
    commands = tmp_path / "commands.jsonl"
    send(commands, "pause")
    reader = CommandReader(commands)
    tracemalloc.start()
    try:
        assert [one.command for one in reader.new()] == ["pause"]
        assert reader.new() == []
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_empty_curves_share_what_they_have_not() -> None:
    one, other = Curves(2), Curves(2)
    assert one._points is other._points
    longer = one.after([1, 2], [3.0, 4.0], [5.0, 6.0])
    assert [*longer[0]] == [(1, 3.0), (2, 4.0)]
    assert (len(one), len(other), len(Curves(2))) == (0, 0, 0)
    assert [*other.after([7], [8.0], [9.0])[1]] == [(7, 9.0)]
