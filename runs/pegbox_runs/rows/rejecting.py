"""Rows that can't be taken: refused with their places, or left out and told."""

from __future__ import annotations

from collections.abc import Sequence

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import one_line
from pegbox_runs.rows.place import Rejected
from pegbox_runs.rows.survey.survey import Survey

NAMED = 10
"""Rejected rows that a refusal names; `pegbox data` lists them all."""


def refuse_rejected(surveys: Sequence[Survey]) -> None:
    """Refuse sources with rows that can't be taken, the first ten named.

    Raises: Refusal.
    """
    bad = [one for one in surveys if one.rejected_count]
    if not bad:
        return
    files = ", ".join(one.source.asked for one in bad)
    count = sum(one.rejected_count for one in bad)
    named = [rejected for one in bad for rejected in one.rejected][:NAMED]
    more = f"\n... and {count - len(named)} more" if count > len(named) else ""
    raise Refusal(
        f"{files}: {count} of {count + sum(map(len, bad))} rows can't be taken. Mend them, or leave them out with "
        'rows.allow = ["rejected-rows"]; `pegbox data` lists them all and can write a cleaned copy:\n'
        + "\n".join(map(_told, named))
        + more
    )


def _refuse_none(surveys: Sequence[Survey]) -> None:
    """Raises: Refusal: not one row of a source can be taken."""
    for one in surveys:
        if not len(one):
            first = f" The first: {_told(one.rejected[0])}." if one.rejected else ""
            raise Refusal(
                f"{one.source.asked}: no row can be taken; all {one.rejected_count} are rejected.{first} "
                "`pegbox data` lists them all."
            )


def left_out(surveys: Sequence[Survey], recipe: Recipe) -> list[str]:
    """Tell of rows that can't be taken, where the recipe lets them be left out.

    Raises: Refusal: it doesn't.
    """
    count = sum(one.rejected_count for one in surveys)
    if "rejected-rows" not in recipe.rows.allow:
        refuse_rejected(surveys)
    _refuse_none(surveys)
    if not count:
        return []
    first = next(rejected for one in surveys for rejected in one.rejected)
    rows = "1 row can't be taken and is" if count == 1 else f"{count} rows can't be taken and are"
    return [f"{rows} left out; {sum(map(len, surveys))} are good. The first: {_told(first)}."]


def _told(rejected: Rejected) -> str:
    keys = f"; its keys are {', '.join(rejected.keys)}" if rejected.keys else ""
    return one_line(f"{rejected.where}: {rejected.reason}{keys}", 400)
