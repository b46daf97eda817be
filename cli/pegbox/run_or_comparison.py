"""What a name on the command line means where runs and comparisons are taken alike."""

from __future__ import annotations

from typing import Literal

from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.comparison_folder import ComparisonFolder, all_comparisons, find_comparison
from pegbox_runs.printable import printable
from pegbox_runs.run_folder import RunFolder, all_runs, find
from pegbox_runs.run_state import RunState
from pegbox_runs.timeline import how_to_go_on


def find_run_or_comparison(name: str) -> RunFolder:
    """Find a run, or a comparison, by its id or a unique prefix of it; `last` is the last run.

    Returns: a ComparisonFolder where it is a comparison.
    Raises: Refusal: there is none, or there are several.
    """
    comparisons: list[ComparisonFolder] = [] if name == "last" else all_comparisons()
    if not comparisons:
        return find(name)
    runs = all_runs()
    exact = [one for one in (*runs, *comparisons) if one.id == name]
    if len(exact) == 1:
        return exact[0]
    begun_runs = [one for one in runs if one.id.startswith(name)]
    begun = [one for one in comparisons if one.id.startswith(name)]
    if begun and begun_runs:
        raise Refusal(
            f'"{printable(name)}" is the beginning of {_some(begun_runs, "run")} and of {_some(begun, "comparison")}. '
            "Write more of it."
        )
    if begun:
        return find_comparison(name)
    if begun_runs:
        return find(name)
    raise Refusal(
        f'no run and no comparison is called "{printable(name)}"; `pegbox runs` and `pegbox compare` list them'
        + (f", and `last` is {runs[-1].id}." if runs else ".")
    )


def kind_of(folder: RunFolder) -> Literal["run", "comparison"]:
    """Say in a word what it is; so is its id called in JSON."""
    return "comparison" if isinstance(folder, ComparisonFolder) else "run"


def how_it_goes_on(folder: RunFolder, state: RunState) -> str | None:
    """Say how what isn't carried any more is continued; None: it is done, or the same would come again."""
    if not isinstance(folder, ComparisonFolder):
        return how_to_go_on(folder.id, state)
    if state.deleted or state.status in {"finished", "running"}:
        return None
    return f"`pegbox resume {folder.id}` goes on with what is left of it; what is done stays done."


def _some(found: list[RunFolder] | list[ComparisonFolder], what: str) -> str:
    shown = ", ".join(one.id for one in found[:3])
    return f"the {what} {shown}" if len(found) == 1 else f"{len(found)} {what}s ({shown}{', …' * (len(found) > 3)})"
