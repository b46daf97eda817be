"""What happened to the run on its way, the newest first."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from pegbox_methods.events import Notice
from pegbox_runs.printable import printable
from pegbox_runs.run_state import RunState
from pegbox_runs.timeline import ending, how_to_go_on, sentence, setback_sentence, what_next

SETBACKS = 5
"""The newest of them that are listed on top."""
DELETED = "this run was deleted: its folder is gone; what it told until then is still shown here"
LOST = "lost: neither the run's supervisor nor its worker lives, and it told no end"


def timeline_lines(run: str, state: RunState) -> list[Text]:
    """Tell the end and how to go on, then what happened."""
    lines = [*ending_lines(run, state), *setback_lines(state)]
    lines += [Text(said) for said in _told(state)]
    return lines or [Text("nothing out of the ordinary happened", "dim")]


def ending_lines(run: str, state: RunState) -> Iterator[Text]:
    """Tell how a run ended, and how it can be gone on with."""
    if state.ended:
        yield Text(printable(ending(state) or ""), "bold")
    if state.deleted:
        yield Text(DELETED, "bold")
    if state.status == "lost":
        yield Text(LOST, "bold")
    hint = how_to_go_on(run, state)
    for said in filter(None, (hint, what_next(run, state))):
        yield Text(printable(said))


def newest_remark(state: RunState) -> Text | None:
    """Give the newest remark."""
    return next((Text(said) for said in _told(state)), None)


def setback_lines(state: RunState) -> list[Text]:
    """Tell which workers died and what that cost, the newest first. They stand on top, whatever happens later."""
    return [Text(printable(setback_sentence(lost)), "bold") for lost in reversed(state.setbacks[-SETBACKS:])]


def _told(state: RunState) -> list[str]:
    """Tell the remarks, the newest first. A notice that each worker repeats stays where it was told first."""
    told: list[str] = []
    notices: set[str] = set()
    for remark in state.remarks:
        said = sentence(remark)
        if said is None or said in notices:
            continue
        if isinstance(remark, Notice):
            notices.add(said)
        told.append(printable(said))
    return told[::-1]
