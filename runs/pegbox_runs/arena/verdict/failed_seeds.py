"""What is said of contestants that lost some of their seeds, and are compared over those that are left."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_runs.arena.entries import Outcome
from pegbox_runs.arena.schedule import failed_final, finals_of
from pegbox_runs.arena.verdict.comparable import is_done
from pegbox_runs.arena.verdict.contestant_figures import Basis
from pegbox_runs.printable import one_line


def remarks_on_failed_seeds(basis: Basis) -> Iterator[str]:
    """Say for all to see who lost a seed, and over which the others are compared for it."""
    for name in basis.comparison.asked.contestants:
        failed = failed_final(name, basis.comparison, basis.outcomes)
        if failed is None or name not in basis.compared.names:
            continue
        yield f"{name} {_failed(failed, name, basis)}: {_compared_over(basis)}."


def remark_on_failed_seed(name: str, basis: Basis) -> str | None:
    """Say that a contestant has a result and lost a seed, and why; None: it lost none, or has nothing else."""
    failed = failed_final(name, basis.comparison, basis.outcomes)
    if failed is None or _done(name, basis) == 0:
        return None
    why = one_line(failed.why, 200) or "it told no reason"
    return f"It {_failed(failed, name, basis)}, and no further seed of it is run: {why}"


def _failed(failed: Outcome, name: str, basis: Basis) -> str:
    return f"failed at seed {failed.entry.seed} ({_done(name, basis)} of {len(basis.comparison.seeds)} done)"


def _compared_over(basis: Basis) -> str:
    seeds = [str(seed) for seed in basis.compared.seeds]
    over = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(seeds[:-1])} and {seeds[-1]}"
    return f"all are compared over {over}" if len(basis.compared.names) > 1 else f"its figures are those of {over}"


def _done(name: str, basis: Basis) -> int:
    return sum(is_done(one) for one in finals_of(name, basis.comparison, basis.outcomes))
