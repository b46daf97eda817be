"""Which memory a comparison is told in."""

from __future__ import annotations

import msgspec

from pegbox_runs.arena.memory import memory_of, on_device
from pegbox_runs.arena.results import ContestantResult
from pegbox_runs.arena.verdict.pareto import pareto_of
from tests.runs.arena.judged_comparisons import compared


def there(*device: int | None) -> tuple[ContestantResult, ...]:
    found = compared({"a": 0.8, "b": 1.2}).contestants
    return tuple(
        msgspec.structs.replace(one, device_peak=peak, process_peak=7) for one, peak in zip(found, device, strict=True)
    )


def test_it_is_the_devices_where_all_that_are_ranked_know_it() -> None:
    known, mixed, none = there(5, 6), there(5, None), there(None, None)
    assert [on_device(one) for one in (known, mixed, none)] == [True, False, False]
    assert [memory_of(one, known) for one in known] == [5, 6]
    assert [memory_of(one, mixed) for one in mixed] == [7, 7]


def test_a_device_is_held_against_no_process() -> None:
    first, last = there(5, 6)
    unranked = msgspec.structs.replace(last, place=None, device_peak=None)
    assert on_device((first, unranked))
    mixed = there(9, None)
    assert pareto_of(mixed, ["memory"]).front == ("a", "b")
