"""report.md of a run: the same as the page, with its charts in words."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_runs.reporting.markdown_text import block, code, table, words
from pegbox_runs.run_report.parts import Drawn, Grid, Pairs, Part, Said, Section, Verbatim
from pegbox_runs.run_report.report import Report


def run_markdown(report: Report) -> bytes:
    """Write the whole report."""
    return ("\n".join(_lines(report)).rstrip() + "\n").encode()


def section_lines(section: Section, heading: str = "##") -> Iterator[str]:
    """Write one section."""
    yield f"{heading} {words(section.title)}"
    yield ""
    for part in section.parts:
        yield from _part(part)
        yield ""


def _lines(report: Report) -> Iterator[str]:
    yield f"# Run {code(report.run)}"
    yield ""
    yield f"**{words(report.headline)}**"
    yield ""
    yield f"State: {words(report.status)}. Made {words(report.made)}."
    yield ""
    for section in report.sections:
        yield from section_lines(section)


def _part(part: Part) -> Iterator[str]:
    match part:
        case Said():
            yield words(part.text)
        case Pairs():
            yield from table(("what", "how much"), ((words(what), words(said)) for what, said in part.rows))
        case Grid():
            yield from table([words(title) for title in part.titles], (list(map(words, row)) for row in part.rows))
            if part.caption:
                yield ""
                yield words(part.caption)
        case Verbatim():
            yield f"{words(part.label)}:"
            yield ""
            yield from block(part.text, part.language)
        case Drawn():
            yield words(f"{part.caption} {part.said}")
