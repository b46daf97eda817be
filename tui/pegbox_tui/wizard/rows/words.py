"""What the step says of rows that were examined: in short, and what a run would make of them."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from pathlib import PurePath
from typing import get_args

from rich.console import Group, RenderableType
from rich.text import Text

from pegbox_methods.recipe import Allowed, Rows
from pegbox_runs.figures import count
from pegbox_runs.printable import one_line, printable
from pegbox_runs.rows.doctor.examine import NOTHING_TO_TRAIN
from pegbox_runs.rows.report import Report, RowFinding, SplitFacts
from pegbox_tui.rows.report_parts import FIT, MARKS, UNFIT, bar, facts, percent, rows_in_words
from pegbox_tui.wizard.rows.reading import Reading

ALLOWED: tuple[str, ...] = get_args(Allowed)
REFUSED = (*ALLOWED, "not-rendered", NOTHING_TO_TRAIN)
"""Findings for which a run is refused before its first step, where they are red."""
COLORS = {"red": "bold red", "yellow": "yellow", "green": "green"}
TITLE = 19
CHOOSE = "Choose a finding that a run would refuse; a lets it pass, if anything does."
ALLOWS = {
    "rejected-rows": "The rows that can't be read are left out, and the run trains on the others.",
    "untrained-rows": "The rows of which nothing is trained are left out.",
    "few-trained-tokens": "The run trains though less than 1 % of the tokens is learned; the rest is context.",
    "end-not-learned": "The run trains though no row teaches the model to stop; it may go on and on when it answers.",
}


def in_the_way(report: Report, allowed: Collection[str]) -> list[RowFinding]:
    """List what a run would be refused for, or spoilt by, without what is allowed."""
    return [found for found in report.findings if found.level == "red" and found.name not in allowed]


def word_for(finding: RowFinding) -> str | None:
    """Give the word of rows.allow that lets a finding pass; None: nothing does, or nothing need."""
    return finding.name if finding.level == "red" and finding.name in ALLOWED else None


def headline(report: Report, rows: Rows) -> Text:
    """Name the rows and say in a line how they are."""
    bad, look = in_the_way(report, rows.allow), sum(found.level == "yellow" for found in report.findings)
    said = Text(f"{name_of(rows.file)} · {rows_in_words(report.rows)} · {one_line(report.format, 30)} · ")
    said.append(*UNFIT) if bad else said.append(*FIT)
    if rows.allow and not bad:
        said.append(" with what you allow")
    return said.append(f" · {look} worth a look") if look else said


def head(rows: Rows, state: Reading) -> Text:
    """Say in a line how far one is with some rows."""
    if state.rows is not None:
        return headline(state.rows.report, rows)
    if state.refusal or state.unfetched:
        how = "can't be taken" if state.refusal else "isn't here yet"
        return Text(f"{name_of(rows.file)} {how}")
    return reading(rows.file, state.done)


def lacking(rows: Rows | None, state: Reading) -> str | None:
    """Say what must be waited for or mended before one can go on; None: nothing."""
    if rows is None:
        return "No rows are picked yet: choose a file, or take the example rows."
    if state.unfetched:
        return f"{name_of(rows.file)} isn't here yet: r fetches it."
    if state.refusal:
        return "These rows can't be read. Mend what is said there, or pick others with f."
    return None if state.over else "The rows are being read; a moment. f picks others."


def name_of(file: str) -> str:
    """Name a file of rows, or a data set, in short."""
    return one_line(PurePath(file).name if file.startswith("/") else file, 40)


def reading(file: str, done: float) -> Text:
    """Say how far the reading is."""
    said = Text(f"reading {name_of(file)} ")
    return said.append(bar(done, 20), "cyan").append(f" {100 * done:.0f} %") if done else said.append("…")


def summary(report: Report, rows: Rows, model: str | None, changed: str = "") -> RenderableType:
    """Say what was found in short: the verdict, what a run would refuse, how it is read."""
    parts: list[Text] = []
    if changed:
        parts.append(Text(f"{printable(changed)} Press r to read it again.", "bold yellow"))
    bad = in_the_way(report, rows.allow)
    parts.append(Text.assemble(UNFIT if bad else FIT, "." if not bad else ". In the way:"))
    parts += [Text.assemble("  ", (MARKS["red"], "bold red"), f"  {_many(found)}: {_way_out(found)}") for found in bad]
    if rows.allow:
        parts.append(Text(f"You let pass: {', '.join(rows.allow)}."))
    looks = [found for found in report.findings if found.level == "yellow"]
    parts += [Text.assemble("  ", (MARKS["yellow"], "yellow"), f"  {_many(found)}") for found in looks]
    parts += [Text(), Text.assemble("Read as ", (printable(report.format), "bold"), f": {printable(report.evidence)}.")]
    parts.append(Text(facts(report)))
    if report.split is not None:
        parts.append(sides(report.split))
    if rows.mix:
        parts.append(Text(f"{len(rows.mix)} more sources are mixed in, as the recipe says; they aren't examined here."))
    if model is None:
        parts.append(Text("No model is chosen yet, so tokens aren't counted: choose one, and come back.", "yellow"))
    return Group(*parts)


def cleaning(rows: Rows) -> str:
    """Give the command that writes a cleaned copy of some rows, as a shell takes it."""
    return shlex.join(["pegbox", "data", rows.file, "--fix", "cleaned.jsonl"])


def part_label(finding: RowFinding, allowed: Collection[str]) -> Text:
    """Draw a finding as a line of the list."""
    many = count(finding.rows).replace(" ", "") if finding.rows else ""
    word = "ok'd" if finding.level == "red" and finding.name in allowed else MARKS[finding.level]
    return Text.assemble((f"{word:<5}", COLORS[finding.level]), f"{one_line(finding.title, TITLE):<{TITLE}} {many:>5}")


def passing(finding: RowFinding, allowed: Collection[str]) -> Text:
    """Say whether a run takes rows with a finding, and what lets it."""
    if finding.level != "red":
        return Text()
    if finding.name in allowed:
        return Text("You let it pass. Press a to take that back.", "bold")
    if finding.name not in REFUSED:
        return Text("A run would begin, and be spoilt by it.", "bold")
    return Text(f"A run would be refused: {_way_out(finding)}", "bold")


def question(word: str, finding: RowFinding) -> str:
    """Ask before something is let pass."""
    return f"Let it pass: {_many(finding)}? {ALLOWS[word]}"


def sides(split: SplitFacts) -> Text:
    """Say how many rows fall on each side."""
    whole = max(1, split.trained + split.held_out)
    held = f"{count(split.held_out)} held out ({percent(split.held_out / whole)})"
    return Text(printable(f"{count(split.trained)} trained, {held}: {split.by}."))


def _many(finding: RowFinding) -> str:
    return f"{printable(finding.title)} ({count(finding.rows)})" if finding.rows else printable(finding.title)


def _way_out(finding: RowFinding) -> str:
    if finding.name in ALLOWED:
        return f"a lets it pass, as {finding.name} in rows.allow"
    return "nothing lets it pass; mend it" if finding.name in REFUSED else "a run would be spoilt"
