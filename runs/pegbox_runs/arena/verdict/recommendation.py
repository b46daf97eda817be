"""What to take, in one to three sentences that say what they rest on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from pegbox_runs.arena.results import Axis, ContestantResult, Interval, Results
from pegbox_runs.arena.verdict.clear_costs import is_clearly_more
from pegbox_runs.arena.verdict.groups import Compared, Verdict
from pegbox_runs.arena.verdict.more_evidence import what_would_tell
from pegbox_runs.arena.verdict.pareto import figure_on, is_better_than_base, knows_memory, pareto_of
from pegbox_runs.reporting.digits import bytes_, memory, number, plain, seconds, together

SMALL_LOSS = 0.05
"""Share of what the best one gained that a cheaper one may lose, and still be worth a word."""
AS_CHEAP = 1.05
"""Times the least: who takes no more than that may be said to take the least."""
MUCH_CHEAPER = 0.8
"""Share of the memory or time that such a one takes at most."""
NOTABLE_FORGETTING = 0.05
"""Nats per token of general rows."""
MOST_NAMES = 4


def recommendation_of(results: Results, verdict: Verdict) -> str:
    """Say what to take, from results in which all else is filled in."""
    ranked = [one for one in results.contestants if one.loss is not None]
    said = " ".join(sentence for sentence in _sentences(ranked, results, verdict) if sentence)
    return said if results.complete or not said else f"So far: {said}"


def _sentences(ranked: Sequence[ContestantResult], results: Results, verdict: Verdict) -> Iterator[str]:
    if not ranked:
        if results.rows is not None or results.complete:
            yield f"Nothing can be told: {_why_nothing(results)}."
        return
    if not results.groups:
        yield (
            f"Nothing can be told from {_counted(results.rows.deciding if results.rows else 0, 'held-out row')}: hold "
            "out ten at least, better a hundred."
        )
        return
    tied = [one for one in ranked if one.group == 1]
    if not any(map(is_better_than_base, tied)):
        yield _no_gain(ranked[0], results)
        return
    if len(ranked) == 1:
        yield _alone(ranked[0], results)
        return
    if results.winner is not None:
        yield _winner(tied[0], results, verdict)
        yield from _but(tied[0], ranked, results)
        return
    to_take = [one for one in tied if is_better_than_base(one)]
    pick = _cheapest(to_take, results)
    pair = _pair(verdict, tied[0].name, (tied[1] if pick is tied[0] else pick).name)
    yield _tie(pair, tied, results)
    yield _why_cheapest(pick, to_take, results)
    yield from _but(pick, ranked, results)
    yield what_would_tell(pair, results)


def _winner(best: ContestantResult, results: Results, verdict: Verdict) -> str:
    next_one = verdict.order[1]
    lower = _pair(verdict, best.name, next_one).difference.interval
    gap = together(plain(Interval(value=-lower.value, low=_negative(lower.high), high=_negative(lower.low))))
    said = f"Take {best.name}: its loss on {_evidence(results)} is {_loss(best)}, lower than"
    if len(verdict.order) == 2:
        return f"{said} {next_one}'s by {gap}."
    return f"{said} every other's; that of {next_one}, the next, is higher by {gap}."


def _tie(pair: Compared, tied: Sequence[ContestantResult], results: Results) -> str:
    gap, chance = -pair.difference.value, pair.difference.reach(pair.level)[1]
    first = tied[0]
    if gap == 0:
        seen = f"the losses of {first.name} and {pair.other} are the same, {_loss(first)}"
    else:
        seen = (
            f"{first.name}'s loss is the lowest, {_loss(first)}, and {pair.other}'s is higher by {_two_digits(gap)}, "
            f"where up to {_two_digits(chance)} may be chance"
        )
    return f"{_listed([one.name for one in tied])} can't be told apart on {_evidence(results)}: {seen}."


def _why_cheapest(pick: ContestantResult, to_take: Sequence[ContestantResult], results: Results) -> str:
    """Say what speaks for one of those that are tied, where anything does."""
    if len(to_take) == 1:
        return f"Of them only {pick.name} can be told to be better than its own base model: take {pick.name}."
    axes = _costs(to_take)
    least = [told for axis in axes if (told := _least(pick, to_take, axis, results))]
    if not least and (told := _least(pick, to_take, "size", results)):
        least = [told]
    if not least:
        which = "those that are better than their base model" if len(to_take) < _tied_count(results) else "them"
        return f"No cost that was measured clearly speaks for one of {which}: take the one that you know best."
    less = ((axis, one) for axis in axes for one in to_take if is_clearly_more(pick, one, axis, results))
    other = next((f", though {one.name} takes less {_cost(one, axis)}" for axis, one in less), "")
    return f"Of them {pick.name} takes the least {' and '.join(least)}{other}: take {pick.name}."


def _tied_count(results: Results) -> int:
    return len(results.groups[0])


def _least(pick: ContestantResult, to_take: Sequence[ContestantResult], axis: Axis, results: Results) -> str:
    """Name what a contestant needs clearly less of than some other does, and hardly more than any; empty: nothing."""
    own = figure_on(pick, axis)
    known = [figure for one in to_take if (figure := figure_on(one, axis)) is not None]
    if own is None or own > AS_CHEAP * min(known):
        return ""
    return _cost(pick, axis) if any(is_clearly_more(one, pick, axis, results) for one in to_take) else ""


def _cheapest(to_take: Sequence[ContestantResult], results: Results) -> ContestantResult:
    """Give the one whose costs (memory where it is known, and time), as shares of the least, have the smallest product.

    What isn't clearly more than the least counts as the least. Then the adapter's size decides, and then the loss.
    """

    def costs(one: ContestantResult, axes: Sequence[Axis]) -> float:
        product = 1.0
        for axis in axes:
            known = [(figure, other) for other in to_take if (figure := figure_on(other, axis)) is not None]
            least, cheapest = min(known, key=lambda pair: pair[0], default=(0.0, one))
            own = figure_on(one, axis)
            if own is not None and least > 0 and is_clearly_more(one, cheapest, axis, results):
                product *= own / least
        return product

    axes = _costs(to_take)
    return min(to_take, key=lambda one: (costs(one, axes), costs(one, ["size"]), one.loss.value if one.loss else 0))


def _costs(some: Sequence[ContestantResult]) -> tuple[Axis, ...]:
    """Give the costs that speak for or against some: memory only where it is known, and not an upper bound."""
    return ("memory", "time") if knows_memory(some) else ("time",)


def _but(pick: ContestantResult, ranked: Sequence[ContestantResult], results: Results) -> Iterator[str]:
    """Say what speaks against it."""
    cheaper = _much_cheaper(pick, ranked, results)
    if cheaper is not None:
        one, told = cheaper
        more = one.loss.value - pick.loss.value if one.loss and pick.loss else 0.0
        gained = -pick.change.value if pick.change else 1.0
        yield (
            f"Where that counts, {one.name} takes {told}, for a loss that is higher by {_two_digits(more)} "
            f"({more / gained:.0%} of what the training gained)."
        )
    kept = [one for one in ranked if one is not pick and one.forgetting is not None]
    if pick.forgetting is None or pick.forgetting.low is None or not kept:
        return
    least = min(kept, key=lambda one: one.forgetting.value if one.forgetting else 0.0)
    if least.forgetting is None or least.forgetting.high is None:
        return
    apart = pick.forgetting.value - least.forgetting.value
    if pick.forgetting.low > max(0.0, least.forgetting.high) and apart >= NOTABLE_FORGETTING:
        rows = results.rows.general if results.rows and results.rows.general else 0
        yield (
            f"But {pick.name} forgets more: its loss on {_counted(rows, 'general row')} rose by "
            f"{together(plain(pick.forgetting))}, where {least.name}'s changed by "
            f"{together(plain(least.forgetting, sign=True))}."
        )


def _much_cheaper(
    pick: ContestantResult, ranked: Sequence[ContestantResult], results: Results
) -> tuple[ContestantResult, str] | None:
    """Find who needs far less memory or time for a little more loss, and say how much less."""
    front = pareto_of(ranked).front
    for one in ranked:
        if one is pick or one.name not in front or one.loss is None or pick.loss is None or pick.change is None:
            continue
        if not 0 < one.loss.value - pick.loss.value <= SMALL_LOSS * -pick.change.value:
            continue
        told = []
        for axis in _costs((one, pick)):
            own, other = figure_on(one, axis), figure_on(pick, axis)
            much = own is not None and other is not None and own <= MUCH_CHEAPER * other
            if much and is_clearly_more(pick, one, axis, results):
                told.append(f"{_figure(one, axis)} of {axis} in place of {_figure(pick, axis)}")
        if told:
            return one, " and ".join(told)
    return None


def _no_gain(best: ContestantResult, results: Results) -> str:
    change = together(plain(best.change, sign=True))
    base = number(best.base_loss or 0.0, 4)
    if best.change is not None and best.change.low is not None and best.change.low > 0:
        return (
            f"Take none of them: on {_evidence(results)} even the lowest loss, {best.name}'s, {_loss(best)}, is higher "
            f"than that of its base model, {base}, by {together(plain(best.change))}. A lower learning rate may help."
        )
    return (
        f"Take none of them yet: on {_evidence(results)} the lowest loss, {best.name}'s, {_loss(best)}, can't be told "
        f"to be better than that of its base model, {base}: training changed it by {change}. More held-out rows "
        "or more steps may show a gain."
    )


def _alone(one: ContestantResult, results: Results) -> str:
    change = together(plain(one.change, sign=True))
    return (
        f"Only {one.name} has a result, so there is nothing to hold it against: its loss on {_evidence(results)} is "
        f"{_loss(one)}, which training changed by {change}."
    )


def _why_nothing(results: Results) -> str:
    failed = [one for one in results.contestants if one.standing == "failed"]
    if len(failed) == len(results.contestants):
        return "every contestant failed"
    if results.rows is not None and results.rows.deciding == 0:
        return "there are no held-out rows"
    return "no contestant came to a result that can be compared"


def _pair(verdict: Verdict, first: str, other: str) -> Compared:
    return next(pair for pair in verdict.pairs if (pair.first, pair.other) == (first, other))


def _evidence(results: Results) -> str:
    rows = results.rows.deciding if results.rows else 0
    return f"{_counted(rows, 'held-out row')} over {_counted(len(results.compared_seeds), 'seed')}"


def _loss(one: ContestantResult) -> str:
    return together(plain(one.loss))


def _cost(one: ContestantResult, axis: Axis) -> str:
    words = {"memory": "memory", "time": "time", "size": "room on disk"}
    return f"{words[axis]} ({_figure(one, axis)})"


def _figure(one: ContestantResult, axis: Axis) -> str:
    if axis == "time":
        return seconds(one.training_seconds)[0]
    figure = figure_on(one, axis)
    whole = None if figure is None else int(figure)
    return memory(whole) if axis == "memory" else bytes_(whole)


def _listed(names: Sequence[str]) -> str:
    shown = list(names) if len(names) <= MOST_NAMES + 1 else [*names[:MOST_NAMES], f"{len(names) - MOST_NAMES} others"]
    return ", ".join(shown[:-1]) + f" and {shown[-1]}"


def _two_digits(value: float) -> str:
    return number(value, min(6, max(0, 1 - math.floor(math.log10(value)))) if value > 0 else 1)


def _counted(number_: int, thing: str) -> str:
    return f"{number_:,} {thing}{'' if number_ == 1 else 's'}"


def _negative(value: float | None) -> float | None:
    return None if value is None else -value
