"""What the wizard says of a draft, as pure functions."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pegbox_runs.drafts import STEPS, Draft, StepName
from pegbox_runs.printable import one_line

if TYPE_CHECKING:
    from pegbox_runs.run_state import RunState

TITLES: dict[StepName, str] = {
    "machine": "Machine",
    "model": "Model",
    "rows": "Rows",
    "goal": "Goal",
    "settings": "Settings",
    "review": "Review",
}
KEPT = "Your draft is kept; `pegbox` goes on with it."
BEING_STARTED = "The run is being started: a moment, and it is seen here."
LEAVES_AFTER_START = "The run is being started: Pegbox leaves once it is handed over. Once more leaves at once."
START_UNSEEN = "A run was being started: `pegbox runs` shows whether it began."


def goes_on(run: str) -> str:
    """Say where a run that goes on is found again."""
    return f"The run goes on. `pegbox watch {run}` shows it, `pegbox stop {run}` ends it."


NO_COMPARISON = "There are no comparisons yet: the last step, Review, starts one by m."


def comparison_goes_on(comparison: str) -> str:
    """Say where a comparison that goes on is found again."""
    return f"The comparison goes on. `pegbox compare {comparison}` shows it, `pegbox stop {comparison}` ends it."


def comparison_left_as(comparison: str, state: RunState) -> str:
    """Say how a comparison was left, and where what came of it is found."""
    if state.deleted:
        return "The comparison was deleted while it was watched."
    if state.over:
        return f"The comparison has ended. `pegbox compare {comparison}` shows what came of it."
    if state.status == "lost":
        return f"The comparison is lost: nobody carries it any more. `pegbox resume {comparison}` goes on with it."
    return comparison_goes_on(comparison)


def left_as(run: str, state: RunState | None) -> str:
    """Say how a run was left, and where it is found again."""
    from pegbox_runs.timeline import how_to_go_on  # the first screen needs nothing of runs

    if state is None or not (state.over or state.deleted or state.status == "lost"):
        return goes_on(run)
    if state.deleted:
        return "The run was deleted while it was watched."
    if state.status == "lost":
        return f"The run is lost: nobody carries it any more, and it told no end. {how_to_go_on(run, state)}"
    more = how_to_go_on(run, state)
    return f"The run has ended. `pegbox watch {run}` shows it again." + (f" {more}" if more else "")


def is_answered(draft: Draft, step: StepName) -> bool:
    """Tell whether a step needs no more answer: it has its own, or all of its answers stand and it was left behind."""
    if step == "model":
        return draft.model is not None
    if step == "rows":
        return draft.rows is not None
    return STEPS.index(draft.reached) > STEPS.index(step)


def is_empty(draft: Draft) -> bool:
    """Tell whether nothing was answered yet that would be missed."""
    return answers(draft) == answers(Draft())


def answers(draft: Draft) -> tuple[object, ...]:
    """Give what was answered, without where the person is."""
    return tuple(getattr(draft, name) for name in Draft.__struct_fields__ if name not in {"step", "reached"})


def answer_of(draft: Draft, step: StepName, width: int) -> str:
    """Say in a word or two what a step was answered with; empty: nothing that has a name."""
    said = ""
    if step == "machine" and draft.planned is not None:
        planned = draft.planned
        said = f"plan: {planned.gpu}" if planned.gpu else f"plan: {planned.vram_gib:g} GiB"
    elif step == "model" and draft.model is not None:
        said = _last_part(draft.model.name)
    elif step == "rows" and draft.rows is not None:
        said = _last_part(draft.rows.file)
    elif step == "goal" and is_answered(draft, step):
        said = draft.goal.purpose or draft.goal.priority
    elif step == "settings" and draft.method is not None:
        said = draft.method
    return one_line(said, width) if said else ""


def _last_part(name: str) -> str:
    return PurePosixPath(name).name or name


def age_in_words(seconds: float) -> str:
    """Say how long ago something was, as people do."""
    for unit, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= unit:
            number = int(seconds // unit)
            return f"{number} {name}{'' if number == 1 else 's'} ago"
    return "a moment ago"


def draft_in_words(draft: Draft) -> str:
    """List what a draft holds, a line each; made printable."""
    said = [(TITLES[step], answer_of(draft, step, 60)) for step in STEPS]
    if draft.values:
        said.append(("By hand", f"{len(draft.values)} {'value' if len(draft.values) == 1 else 'values'} set"))
    said.append(("You were at", TITLES[draft.step]))
    return "\n".join(f"{title:<13}{answer}" for title, answer in said if answer)
