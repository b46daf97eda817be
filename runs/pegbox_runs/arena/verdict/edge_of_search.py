"""What to do where the best learning rate is the lowest or the highest that was tried."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_runs.arena.results import ContestantResult, Results


def remark_on_edge(one: ContestantResult) -> str | None:
    """Say that a contestant's learning rate is at the edge of its search; None: it isn't."""
    if one.rate_by != "search-edge" or one.rate is None or not one.trials:
        return None
    end = "highest" if one.rate >= max(trial.rate for trial in one.trials) else "lowest"
    return (
        f"Its learning rate, {one.rate:.3g}, is the {end} that was tried: a better one may lie beyond. To look there, "
        f"compare again with training.learning_rate = {one.rate:.3g} in its recipe: the search goes both ways from it."
    )


def remarks_on_edges(results: Results) -> Iterator[str]:
    """Say it to everybody of those that are first, alone or tied: the verdict may change with it."""
    first = results.groups[0] if results.groups else ()
    names = [one.name for one in results.contestants if one.name in first and remark_on_edge(one) is not None]
    if names:
        told = names[0] if len(names) == 1 else ", ".join(names[:-1]) + f" and {names[-1]}"
        yield (
            f"The search ended at the edge of the learning rates that were tried for {told}: a better rate, with a "
            "lower loss, may lie beyond. Each one's remarks say how to look there."
        )
