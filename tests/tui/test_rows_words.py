"""What the step of the rows says: verdicts, ways out, what a length costs. No screen is drawn."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console, RenderableType

from pegbox_methods.recipe import Rows
from pegbox_runs.rows.report import RowFinding, Shown
from pegbox_tui.rows.report_parts import finding_detail
from pegbox_tui.wizard.rows.length_table import HEAD, Price, Prices, drawn, length_lines, told_below
from pegbox_tui.wizard.rows.words import (
    ALLOWED,
    ALLOWS,
    cleaning,
    headline,
    in_the_way,
    name_of,
    part_label,
    passing,
    question,
    reading,
    summary,
    word_for,
)
from tests.made_up_report import HOSTILE, LENGTHS, made_up_report

GIB = 2**30


def red(name: str, **changes: Any) -> RowFinding:
    whole: dict[str, Any] = {"title": f"title of {name}", "level": "red", "rows": 2, "share": 0.1, "text": "t"}
    return RowFinding(**{**whole, "name": name, "todo": "do", "examples": (Shown("p", HOSTILE),), **changes})


def printed(what: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=100, force_terminal=False, markup=False)
    console.print(what)
    return " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]


def test_what_is_allowed_is_no_longer_in_the_way() -> None:
    report = made_up_report()
    assert [found.name for found in in_the_way(report, ())] == ["untrained-rows"]
    assert "not fit to train on" in headline(report, Rows(file="/x/rows.jsonl")).plain
    allowing = Rows(file="/x/rows.jsonl", allow=("untrained-rows",))
    assert not in_the_way(report, allowing.allow)
    assert "fit to train on with what you allow" in headline(report, allowing).plain


@pytest.mark.parametrize("name", ALLOWED)
def test_each_word_of_rows_allow_lets_its_finding_pass_and_is_asked_for_in_words(name: str) -> None:
    assert word_for(red(name)) == name
    assert f"as {name} in rows.allow" in passing(red(name), ()).plain
    assert "take that back" in passing(red(name), (name,)).plain
    assert ALLOWS[name] in question(name, red(name))
    assert part_label(red(name), (name,)).plain.startswith("ok'd")


@pytest.mark.parametrize("name", ["not-rendered", "nothing-to-train"])
def test_what_nothing_lets_pass_says_so(name: str) -> None:
    assert word_for(red(name)) is None
    assert "nothing lets it pass" in passing(red(name), ()).plain


def test_what_only_spoils_a_run_isn_t_said_to_be_refused() -> None:
    assert passing(red("leaks"), ()).plain == "A run would begin, and be spoilt by it."
    assert word_for(red("end-not-learned", level="yellow")) is None
    assert passing(red("end-not-learned", level="yellow"), ()).plain == ""


def test_the_summary_says_all_that_matters_and_nothing_in_it_acts() -> None:
    said = printed(summary(made_up_report(), Rows(file="/x/rows.jsonl"), None, f"/{HOSTILE} has changed."))
    for part in ("Press r", "In the way", "bad", "look exact duplicates (41)", "540 trained, 60 held out (10 %)"):
        assert part in said
    assert "No model is chosen yet" in said
    assert not set("\x1b\x00\u202e") & set(said)
    assert "No model" not in printed(summary(made_up_report(), Rows(file="/x/rows.jsonl"), "bundled"))


def test_names_are_short_and_harmless() -> None:
    assert name_of("/data/rows.jsonl") == "rows.jsonl"
    assert name_of("org/name") == "org/name"
    assert "\x1b" not in name_of(f"/{HOSTILE}")
    assert len(name_of("/" + "x" * 5000)) <= 40
    assert reading("/x/rows.jsonl", 0.42).plain.endswith("42 %")


def test_the_lines_share_all_rows_among_them() -> None:
    lines = length_lines(LENGTHS)
    assert sum(line.rows_here for line in lines) == pytest.approx(1.0)
    assert [line.length for line in lines] == [64, 128, 256, 448]
    assert lines[1].lost == pytest.approx(0.0088)
    assert [line.length for line in length_lines(LENGTHS, taken=128)] == [64, 128, 256, 448]
    for taken, lost in ((100, 0.19), (300, 0.0005), (2048, 0.0), (8, 0.19)):
        line = next(line for line in length_lines(LENGTHS, taken) if line.length == taken)
        assert line.lost == pytest.approx(lost)


def test_a_line_says_what_a_length_costs_in_tokens_and_memory() -> None:
    lines = length_lines(LENGTHS)
    prices = Prices({128: Price(3 * GIB), 256: Price(9 * GIB, -2 * GIB, fits=False), 448: Price(None)}, advised=256)
    said = {line.length: drawn(line, prices, None, 1.0).plain for line in lines}
    assert "0.9 %   3.0 GiB ✓" in said[128]
    assert said[256].startswith("● ")
    assert "9.0 GiB ✗" in said[256]
    assert "…" in said[64]
    assert said[448].rstrip().endswith("-")
    assert drawn(lines[0], prices, 64, 1.0).plain.startswith("●")
    assert all(len(line) <= 46 for line in (*said.values(), HEAD))


def test_below_it_says_what_is_lacking_and_why_something_isn_t_known() -> None:
    line = length_lines(LENGTHS)[2]
    prices = Prices({256: Price(9 * GIB, -2 * GIB, fits=False)}, advised=256, place=HOSTILE)
    said = told_below(LENGTHS, prices, None, line).plain
    assert "0.5 % of the rows lose their end; 2.0 GiB are lacking" in said
    assert "256 is advised" in said
    assert "\x1b" not in said
    unknown = told_below(LENGTHS, Prices(unknown=f"no model is named yet. {HOSTILE}"), None, None).plain
    assert "Memory isn't known: no model is named yet." in unknown
    assert "For these rows 256" in unknown
    assert "448 is yours" in told_below(LENGTHS, prices, 448, line).plain


def test_what_can_be_cleaned_is_told_with_the_whole_command() -> None:
    found = next(finding for finding in made_up_report().findings if finding.fix == "leaves out")
    written = io.StringIO()
    Console(file=written, width=200).print(finding_detail(found, cleaning(Rows(file="/home/ada/my rows.jsonl"))))
    said = written.getvalue()
    assert "`pegbox data '/home/ada/my rows.jsonl' --fix cleaned.jsonl` leaves them out." in said
