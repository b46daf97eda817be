"""The sentences of a report: what may be said, what a tie means, and how it was done."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_methods.recipe import Metric
from pegbox_runs.arena.results import Axis, ContestantResult, Results, Standing
from pegbox_runs.figures import duration
from pegbox_runs.reporting import digits
from pegbox_runs.reporting.phrases import date, listed, short

METRICS: dict[Metric, str] = {"exact-match": "Exact match", "token-f1": "Token F1", "rouge-l": "ROUGE-L"}
STANDINGS: dict[Standing, str] = {
    "waiting": "waiting",
    "running": "running",
    "done": "done",
    "part": "some seeds are done",
    "failed": "failed",
}
AXES: dict[Axis, str] = {
    "loss": "loss",
    "memory": "peak memory",
    "time": "training time",
    "size": "adapter size",
    "forgetting": "forgetting",
}


def verdict(results: Results) -> str:
    """Say in one sentence what came of it."""
    said = _verdict(results)
    if results.complete or all(one.loss is None for one in results.contestants):
        return said
    return f"So far: {said[0].lower()}{said[1:]}"


def ties(results: Results) -> Iterator[str]:
    """Say of each group of several what can't be said of its members, and what that means."""
    tied = [group for group in results.groups if len(group) > 1]
    for group in tied:
        whom = "them apart" if len(group) == 2 else f"the others apart from {group[0]}"
        yield f"{listed(group)} are tied: {_evidence(results)} can't tell {whom}."
    if tied:
        yield (
            "Tied doesn't mean equal. It means that the difference is no larger than what chance makes of these rows "
            "and seeds; more held-out rows or seeds may tell them apart. Among tied ones, cost may decide."
        )
    elif results.groups:
        yield "Nothing is tied: each group holds one contestant."
    else:
        yield "Nothing can be said of ties yet."
    if results.groups:
        yield (
            "Two contestants are compared on the same held-out rows with the same seeds, row by row, so what makes a "
            "row hard for both doesn't blur the difference. A range holds the true value with 95 % confidence."
        )


def front(results: Results) -> str:
    """Say who is beaten by nobody on all axes at once; empty: it isn't known, or nobody could be."""
    pareto = results.pareto
    if pareto is None or not pareto.front or sum(one.place is not None for one in results.contestants) < 2:
        return ""
    axes = listed([AXES[axis] for axis in pareto.axes])
    return f"Nobody beats {listed(pareto.front)} on {axes} at once."


def how_done(results: Results) -> list[tuple[str, str]]:
    """Give all that decided the figures, as (what, how much)."""
    rows = results.rows
    done: list[tuple[str, str]] = [
        ("Model", short(results.model)),
        ("Rows", short(results.rows_file)),
    ]
    if rows is not None:
        set_aside = f"; {rows.choosing} more chose learning rates and take no part in it" if rows.choosing else ""
        done.append(("Held-out rows", f"{rows.held_out}; {rows.deciding} decide the verdict{set_aside}"))
        if rows.general is not None:
            done.append(("General rows", f"{rows.general}, of another task: what the training made the model forget"))
        if rows.answered is not None:
            done.append(("Answered rows", f"{rows.answered}, for the metrics"))
    steps = "As many optimizer steps as the budget allows" if results.steps is None else f"{results.steps:,} steps"
    done += [
        ("Seeds", ", ".join(map(str, results.seeds)) + ": the same for all"),
        ("Each training", f"{steps} of {results.effective_batch} rows each, a row at most {results.length:,} tokens"),
        ("Learning rates", _rates(results)),
    ]
    if results.budget:
        done.append(("Budget", results.budget))
    done += [
        ("Time taken", f"{duration(results.wall_seconds)}, summed over all trainings"),
        ("Machine", ", ".join(said for said in (results.machine, results.device) if said) or "not known"),
        ("Made", f"{date(results.made)} by Pegbox {results.version}"),
    ]
    return done


def rate_by(one: ContestantResult) -> str:
    """Say how a contestant came to its learning rate."""
    if one.rate is None:
        return "not known yet"
    how = {
        "recipe": "from its recipe",
        "search": "found by the search",
        "search-edge": "found by the search, at the edge of what was tried: a better one may lie beyond",
    }
    return f"{digits.few_digits(one.rate)}, {how[one.rate_by]}"


def _verdict(results: Results) -> str:
    ranked = [one for one in results.contestants if one.loss is not None]
    if not ranked:
        return "Nothing can be told: no contestant came to a result." if results.complete else "Nothing is known yet."
    if len(ranked) == 1:
        alone = ranked[0]
        base = "" if results.base is None else f", where the base model has {digits.loss(results.base.loss)}"
        return f"Only {alone.name} has a result: a loss of {digits.together(digits.plain(alone.loss))}{base}."
    if results.winner is not None:
        return f"{results.winner} is better than every other, on {_evidence(results)}."
    first = results.groups[0] if results.groups else ()
    if len(first) > 1:
        return f"{listed(first)} are tied for the first place: {_evidence(results)} can't tell them apart."
    return "No winner can be told."


def _evidence(results: Results) -> str:
    seeds = len(results.compared_seeds or results.seeds)
    rows = "these rows" if results.rows is None else _counted(results.rows.deciding, "held-out row")
    return f"{rows} and {_counted(seeds, 'seed')}"


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _rates(results: Results) -> str:
    if not results.search:
        return "each contestant's own, from its recipe; none were searched"
    return "searched for each contestant with as many tries of the same length (successive halving)"
