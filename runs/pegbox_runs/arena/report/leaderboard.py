"""The leaderboard as text: which columns there are, and what stands in them; tables of any kind are made from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pegbox_methods.recipe import Metric
from pegbox_runs.arena import memory
from pegbox_runs.arena.report.wording import METRICS, STANDINGS
from pegbox_runs.arena.results import ContestantResult, Interval, Results, SeedResult
from pegbox_runs.reporting import digits


@dataclass(frozen=True)
class Column:
    """One column."""

    title: str
    unit: str = ""


@dataclass(frozen=True)
class Cell:
    """What stands in a row's column."""

    value: str
    range: str = ""
    """In which it lies with 95 % confidence; may be empty."""
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One contestant, or the base model."""

    name: str
    place: str
    method: str
    cells: tuple[Cell, ...]
    """One for each column."""
    number: int | None = None
    """Place in the results' own order, from 1: what charts mark it with. None: the base model."""


@dataclass(frozen=True)
class Band:
    """Rows that belong together: a group that can't be told apart, or those without a place."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Leaderboard:
    """The whole table; place, name and method come before the columns."""

    columns: tuple[Column, ...]
    base: Row | None
    bands: tuple[Band, ...]


_Filler = Callable[[ContestantResult], Cell]


def leaderboard(results: Results) -> Leaderboard:
    """Make the table. A column that would be empty for all is left out."""
    known = list(_columns(results))
    rows = {
        one.name: Row(one.name, place(one, results), one.method, tuple(fill(one) for _, _, fill in known), number)
        for number, one in enumerate(results.contestants, 1)
    }
    base = _base_row(results, [key for _, key, _ in known])
    bands = [Band(title, tuple(rows[one.name] for one in members)) for title, members in banded(results)]
    return Leaderboard(tuple(column for column, _, _ in known), base, tuple(bands))


def banded(results: Results) -> list[tuple[str, list[ContestantResult]]]:
    """Part the contestants into their groups, in order, and those that are in none."""
    groups: dict[int | None, list[ContestantResult]] = {}
    for one in results.contestants:
        groups.setdefault(one.group, []).append(one)
    without = groups.pop(None, [])
    titled = [
        (f"Group {group}" + (": can't be told apart from its first" if len(members) > 1 else ""), members)
        for group, members in sorted(groups.items(), key=lambda one: one[0] or 0)
    ]
    ranked = [one for one in without if one.place is not None]
    rest = [one for one in without if one.place is None]
    return [*titled, *[part for part in (("Not told apart", ranked), ("Without a place", rest)) if part[1]]]


def place(one: ContestantResult, results: Results) -> str:
    """Write a contestant's place; `1 =` is one that it shares."""
    if one.place is None:
        return digits.NO_FIGURE
    shared = sum(other.place == one.place for other in results.contestants) > 1
    return f"{one.place} =" if shared else str(one.place)


def to_the_best(one: ContestantResult, results: Results) -> Interval | None:
    """Give a contestant's loss less that of the first; None: it is the first, or nothing is known of it."""
    best = results.contestants[0].name
    for pair in results.pairs:
        known = pair.difference
        if (pair.one, pair.other) == (one.name, best):
            return known
        if (pair.one, pair.other) == (best, one.name):
            low, high = (None if end is None else -end for end in (known.high, known.low))
            return Interval(value=-known.value, low=low, high=high)
    return None


def memory_of(one: ContestantResult | SeedResult, results: Results) -> str:
    """Write the peak memory that the report tells: the device's where all ranked know it, else at most the process'."""
    peak = memory.memory_of(one, results.contestants)
    return digits.memory(peak) if on_device(results) else digits.memory_at_most(peak)


def on_device(results: Results) -> bool:
    """Tell whether the memory is a device's own."""
    return memory.on_device(results.contestants)


def _columns(results: Results) -> Iterator[tuple[Column, str, _Filler]]:
    """Give each column with the name under which the base model may know it, and what fills it."""
    there = results.contestants
    yield Column("Loss", "nats per token"), "loss", lambda one: _loss(one)
    if results.pairs:
        yield Column("More than the first", "nats per token"), "", lambda one: _difference(one, results)
    peak = Column("Peak memory", "of the GPU" if on_device(results) else "of the process, at most")
    yield peak, "", lambda one: Cell(memory_of(one, results))
    yield Column("Training time"), "", lambda one: Cell(*digits.seconds(one.training_seconds))
    yield Column("Tokens", "per second"), "", lambda one: Cell(*digits.rate(one.tokens_per_second))
    yield Column("Adapter"), "", lambda one: Cell(digits.bytes_(one.adapter_bytes))
    yield Column("Trainable", "weights"), "", lambda one: Cell(digits.weights(one.trainable_weights))
    if any(one.forgetting for one in there):
        yield Column("Forgetting", "nats per token"), "", lambda one: Cell(*digits.plain(one.forgetting, sign=True))
    for metric, title in METRICS.items():
        if any(metric in one.scores for one in there):
            yield Column(title), metric, lambda one, metric=metric: _score(one, metric)  # type: ignore[misc]


def _loss(one: ContestantResult) -> Cell:
    if one.loss is None:
        said = "out of memory" if one.out_of_memory else STANDINGS[one.standing]
        return Cell(digits.NO_FIGURE, note=said)
    return Cell(*digits.plain(one.loss), "" if one.standing == "done" else STANDINGS[one.standing])


def _difference(one: ContestantResult, results: Results) -> Cell:
    return Cell(*digits.plain(to_the_best(one, results), sign=True))


def _score(one: ContestantResult, metric: Metric) -> Cell:
    return Cell(*digits.share(one.scores.get(metric)))


def _base_row(results: Results, keys: list[str]) -> Row | None:
    base = results.base
    if base is None:
        return None
    known = {"loss": digits.loss(base.loss)}
    known |= {metric: digits.share(Interval(value=score))[0] for metric, score in base.scores.items()}
    return Row("base model", "0", "untrained", tuple(Cell(known.get(key, digits.NO_FIGURE)) for key in keys))
