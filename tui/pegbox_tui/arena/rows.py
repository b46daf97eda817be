"""The leaderboard's rows: what is known of each contestant, and their order."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pegbox_runs.arena.memory import memory_of, on_device
from pegbox_runs.arena.results import ContestantResult, Interval, Results
from pegbox_runs.arena.watching.watch import Contestant, Watched
from pegbox_tui.arena.letters import Sign, signs_of
from pegbox_tui.arena.view import Sort

IN_WORDS: dict[Sort, str] = {
    "place": "best first",
    "loss": "lowest loss first",
    "memory": "least memory first",
    "time": "shortest time first",
    "speed": "fastest first",
    "size": "smallest adapter first",
    "forgetting": "least forgotten first",
    "name": "by name",
}
STANDINGS = {"done": 0, "part": 1, "running": 2, "waiting": 3, "failed": 4}


@dataclass(frozen=True)
class Row:
    """One contestant's line."""

    sign: Sign
    contestant: Contestant
    place: int | None = None
    loss: float | None = None
    provisional: bool = False
    """Whether the loss is only the newest evaluation of a training that goes on."""
    interval: Interval | None = None
    difference: str = ""
    """To the best: `best`, `tied`, `+0.0123`."""
    memory: int | None = None
    at_most: bool = False
    """Whether the memory is an upper bound: that of a process which carried other trainings too."""
    seconds: float | None = None
    speed: float | None = None
    size: int | None = None
    forgetting: float | None = None

    @property
    def name(self) -> str:
        """The contestant's."""
        return self.contestant.name


def rows_of(watched: Watched, sort: Sort) -> list[Row]:
    """Give all rows in an order; those of which a figure isn't known come behind, those that failed last."""
    signs = signs_of(watched)
    rows = [_row(one, signs[one.name], watched.results) for one in watched.contestants]
    return sorted(rows, key=lambda row: (row.contestant.standing == "failed", *ORDER[sort](row)))


def _row(one: Contestant, sign: Sign, results: Results | None) -> Row:
    result = one.result
    known = result.loss if result else None
    there = results.contestants if results else ()
    return Row(
        sign=sign,
        contestant=one,
        place=result.place if result else None,
        loss=known.value if known else one.latest_loss,
        provisional=known is None,
        interval=known,
        difference=difference(result, results) if result and results else "",
        memory=memory_of(result, there) if result else None,
        at_most=result is not None and not on_device(there),
        seconds=result.training_seconds.value if result and result.training_seconds else None,
        speed=result.tokens_per_second.value if result and result.tokens_per_second else None,
        size=result.adapter_bytes if result else None,
        forgetting=result.forgetting.value if result and result.forgetting else None,
    )


def difference(result: ContestantResult, results: Results) -> str:
    """Say how a contestant stands to the best; empty: nothing can be told yet."""
    ranked = [one for one in results.contestants if one.place is not None and one.loss is not None]
    if result.loss is None or not ranked:
        return ""
    best = ranked[0]
    if results.winner == result.name:
        return "best"
    pair = next((one for one in results.pairs if {one.one, one.other} == {best.name, result.name}), None)
    if result.name == best.name:
        shared = any(one is not best and one.place == best.place for one in ranked)
        return "tied" if shared else "lowest"
    if pair is not None and not pair.told_apart:
        return "tied"
    if pair is None:
        return f"{result.loss.value - best.loss.value:+.4f}?" if best.loss else ""
    return f"{pair.difference.value if pair.one == result.name else -pair.difference.value:+.4f}"


def _by(figure: Callable[[Row], float | None], *, most: bool = False) -> Callable[[Row], tuple[Any, ...]]:
    def key(row: Row) -> tuple[Any, ...]:
        value = figure(row)
        known = value is not None and math.isfinite(value)
        return (not known, (-value if most else value) if known and value is not None else 0.0)

    return key


def _by_place(row: Row) -> tuple[Any, ...]:
    loss = row.loss if row.loss is not None and math.isfinite(row.loss) else math.inf
    return (row.place is None, row.place or 0, row.provisional, loss, STANDINGS[row.contestant.standing])


ORDER: dict[Sort, Callable[[Row], tuple[Any, ...]]] = {
    "place": _by_place,
    "loss": _by(lambda row: row.loss),
    "memory": _by(lambda row: row.memory),
    "time": _by(lambda row: row.seconds),
    "speed": _by(lambda row: row.speed, most=True),
    "size": _by(lambda row: row.size),
    "forgetting": _by(lambda row: row.forgetting),
    "name": lambda row: (row.name,),
}
