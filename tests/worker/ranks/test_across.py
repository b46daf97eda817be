"""A step's figures over several processes."""

from __future__ import annotations

import pytest

from pegbox_methods.events import Memory
from pegbox_worker.ranks.across import Common, Own, gather
from pegbox_worker.ranks.losing import lost_peer
from tests.worker.ranks.threads import Sitting, together

OWN = (
    Own(100, 1.0, Memory(device_now=5, device_peak=30, process_now=7, process_peak=9), False),
    Own(60, 1.5, Memory(device_now=6, device_peak=10, process_now=3, process_peak=19), True),
)
GLOO = (
    "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:33469. This is "
    "typically caused by a remote worker crashing."
)


def test_memory_is_the_worst_of_each_figure_and_tokens_are_told_apart() -> None:
    one, other = together(2, lambda group: gather(group, OWN[group.rank], 2.0))
    assert one == other
    assert (one.memory.device_now, one.memory.device_peak) == (6, 30)
    assert (one.memory.process_now, one.memory.process_peak) == (7, 19)
    assert (one.across.tokens_per_second_worst, one.across.tokens_per_second_mean) == (30.0, 40.0)
    assert (one.across.device_peak_mean, one.across.process_peak_mean) == (20, 14)
    assert one.across.waited_seconds == pytest.approx(0.5)


def test_only_the_leading_process_counts_as_to_what_is_wished() -> None:
    assert not together(2, lambda group: gather(group, OWN[group.rank], 2.0))[0].wished
    assert together(2, lambda group: gather(group, OWN[1 - group.rank], 2.0))[1].wished


def test_what_no_process_has_is_none_and_not_a_number() -> None:
    def bare(group: Sitting) -> Common:
        return gather(group, OWN[group.rank]._replace(memory=Memory(process_now=1, process_peak=2)), 0.0)

    (one, _) = together(2, bare)
    assert (one.memory.device_now, one.memory.device_peak, one.across.device_peak_mean) == (None, None, None)


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (RuntimeError(GLOO), True),
        (RuntimeError("NCCL communicator was aborted on rank 1."), True),
        (RuntimeError("planned by a test"), False),
        (ConnectionResetError("Connection reset by peer"), False),
        (RuntimeError("the Hub: connection closed by peer"), False),
    ],
)
def test_a_lost_process_is_told_from_other_troubles(error: Exception, lost: bool) -> None:
    assert lost_peer(error) is lost


def test_a_lost_process_is_found_behind_what_a_library_made_of_it() -> None:
    wrapped = ValueError("the step failed")
    wrapped.__cause__ = RuntimeError(GLOO)
    assert lost_peer(wrapped)
