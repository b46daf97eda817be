"""What the advisor saw, what came of it, and what happened on the way."""

from __future__ import annotations

import time

from pegbox_runs.run_report.course import Advised
from pegbox_runs.run_report.facts import RunFacts
from pegbox_runs.run_report.parts import Grid, Part, Said, Section
from pegbox_runs.timeline import setback_sentence


def advice(facts: RunFacts) -> Section:
    """Tell what the advisor's rules see in the log, at the looks that the run took and at its end."""
    seen, end = facts.course.advised, facts.state.steps_done
    if not seen:
        return Section("advice", "Advice", (Said("Nothing stood out to the advisor's rules."),))
    rows = tuple((one.hint.level, _steps(one), one.hint.text, _came(one, end), one.hint.source) for one in seen)
    caption = "The advisor's rules over the log, at its evaluations and at its end."
    titles = ("", "Steps", "What was seen, and what to do", "What came of it", "Source")
    return Section("advice", "Advice, and what came of it", (Grid(titles, rows, frozenset(), caption),))


def timeline(facts: RunFacts) -> Section:
    """List restarts, changes and notices in their order."""
    course = facts.course
    parts: list[Part] = [Said(f"{setback_sentence(lost, names=False)}.", "remark") for lost in course.state.setbacks]
    if not course.happened:
        parts.append(Said("The log tells nothing yet."))
        return Section("timeline", "What happened", tuple(parts))
    began = course.state.first_time
    rows = [(_moment(one.time), _after(one.time - began), f"{one.step:,}", one.text) for one in course.happened]
    left = f" {course.left_out:,} between the first and the newest are left out." if course.left_out else ""
    caption = f"Restarts, changes, notices, and what else a person may want to know of; times in UTC.{left}"
    parts.append(Grid(("Time", "After", "Step", "What"), tuple(rows), frozenset({1, 2}), caption))
    return Section("timeline", "What happened", tuple(parts))


def _steps(one: Advised) -> str:
    if one.first_step == one.last_step:
        return f"{one.first_step:,}"
    return f"{one.first_step:,} to {one.last_step:,}"


def _came(one: Advised, end: int) -> str:
    """Say what came of it. Some rules fall silent once a run is over: what was so at its last look is so at its end."""
    stays = one.at_the_end or one.last_step >= end
    stayed = "still so at the end" if stays else f"not seen any more after step {one.last_step:,}"
    return f"{stayed}; changed {one.change}" if one.change else stayed


def _moment(seconds: float) -> str:
    try:
        return time.strftime("%m-%d %H:%M:%S", time.gmtime(seconds))
    except (OverflowError, OSError, ValueError):
        return ""


def _after(seconds: float) -> str:
    if not 0 <= seconds < 1e9:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
