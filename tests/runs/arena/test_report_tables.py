"""The tables of a report: CSV for spreadsheets and programs, Markdown for issues."""

from __future__ import annotations

import csv
import io
import re

import pytest

from pegbox_runs.arena.report.csv_table import contestants_csv, safe, seeds_csv
from pegbox_runs.arena.report.markdown import report_markdown
from pegbox_runs.reporting.markdown_text import code, words
from tests.runs.arena.made_up_results import HOSTILE, KINDS, hostile, many, nothing, usual


def read(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def test_results_csv_has_a_row_for_the_base_and_for_each_contestant_with_figures_as_they_are() -> None:
    made = usual()
    rows = read(contestants_csv(made))
    assert [row["contestant"] for row in rows] == ["(base model)", *(one.name for one in made.contestants)]
    lora = rows[1]
    assert made.contestants[0].loss is not None
    assert float(lora["loss_low_nats_per_token"]) == made.contestants[0].loss.low
    assert (lora["place"], lora["group"], lora["out_of_memory"]) == ("1", "1", "false")
    assert float(rows[2]["loss_less_the_first_nats_per_token"]) == pytest.approx(0.0027)
    assert rows[-1]["why_failed"] == "CUDA out of memory. Tried to allocate 96.00 MiB."
    assert (rows[-1]["out_of_memory"], rows[-1]["loss_nats_per_token"]) == ("true", "")


def test_seeds_csv_has_a_row_for_each_training_that_counts_and_its_header_always() -> None:
    made = usual()
    rows = read(seeds_csv(made))
    assert len(rows) == 11
    assert (rows[0]["contestant"], rows[0]["seed"], rows[0]["recipe"]) == ("lora", "1", "recipes/lora-seed-1.toml")
    assert seeds_csv(nothing()).split(b"\r\n")[0] == seeds_csv(made).split(b"\r\n")[0]
    assert seeds_csv(nothing()).count(b"\r\n") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_line_of_a_csv_has_as_many_fields_as_its_header(kind: str) -> None:
    for content in (contestants_csv(KINDS[kind]()), seeds_csv(KINDS[kind]())):
        rows = list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))
        assert len({len(row) for row in rows}) == 1
        assert len(set(rows[0])) == len(rows[0])


def test_no_cell_of_a_csv_is_a_formula_or_holds_what_a_terminal_acts_on() -> None:
    for content in (contestants_csv(hostile()), seeds_csv(hostile())):
        for row in csv.reader(io.StringIO(content.decode(), newline="")):
            for cell in row:
                assert not re.match(r"[=+@\t\r\n＝＋－＠|%]", cell)
                assert not re.match(r"-(?![\d.])", cell)
                assert not re.search(r"[\x00-\x1f\x7f\u202e]", cell)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "|calc"])
def test_a_text_that_begins_like_a_formula_gets_an_apostrophe(text: str) -> None:
    assert safe(text).startswith("'")


def test_a_text_that_is_none_stays_as_it_is() -> None:
    assert safe("lora, 'fast' \"one\"") == "lora, 'fast' \"one\""


@pytest.mark.parametrize("kind", KINDS)
def test_every_table_of_the_markdown_has_rows_of_one_width(kind: str) -> None:
    text = report_markdown(KINDS[kind]()).decode()
    assert text.startswith("# Comparison ")
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block


def test_the_markdown_says_what_the_page_says_in_the_same_order() -> None:
    text = report_markdown(usual()).decode()
    parts = ["tied for the first place", "Take lora", "## Leaderboard", "base model", "1.431 (1.418 to 1.444)"]
    parts += ["## What is tied", "## What failed", "CUDA out of memory", "## Settings", "rank = 16"]
    parts += [
        "## How it was done",
        "156 decide the verdict",
        "## Remarks",
        "## How to repeat it",
        "pegbox train recipes/",
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_the_markdown_of_fifty_contestants_fits_into_an_issue() -> None:
    assert len(report_markdown(many()).decode()) < 65_536


def test_nothing_from_outside_is_markup_in_markdown() -> None:
    text = report_markdown(hostile()).decode()
    outside_code = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert "<script" not in re.sub(r"\\<", "", outside_code)
    assert not re.search(r"(?<!\\)<(?!!-- -->)", outside_code)
    assert not re.search(r"(?<!\\)\[", outside_code)
    assert not re.search(r"@(?!<!-- -->)\w", outside_code)
    assert "http://" not in outside_code
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", text)


def test_code_holds_any_run_of_backticks() -> None:
    assert code("a `` b") == "```a `` b```"
    assert code("`a`") == "`` `a` ``"
    assert code("a|b") == "`a\\|b`"
    assert code("") == ""
    assert "\n" not in words(HOSTILE)
