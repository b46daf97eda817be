"""Writing a run's report: into the run's folder, or into another."""

from __future__ import annotations

from pathlib import Path

from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import printable
from pegbox_runs.run_report.html import run_html
from pegbox_runs.run_report.markdown import run_markdown
from pegbox_runs.run_report.report import Report
from pegbox_runs.secrets import clean
from pegbox_runs.whole_file import write_whole

REPORT_HTML, REPORT_MD = "report.html", "report.md"
_LOOKED_AT = 4096
"""Bytes at the beginning of a file that tell whose it is."""


def write_run_report(report: Report, place: Path) -> tuple[Path, Path]:
    """Write the page and the Markdown, each whole; an earlier report of the same run is replaced, nothing else.

    Secrets and the home's path are taken out.
    Raises: Refusal: something else lies there, or the place can't be written.
    """
    paths = place / REPORT_HTML, place / REPORT_MD
    contents = clean(run_html(report)), clean(run_markdown(report))
    for path in paths:
        if path.exists() and not _is_ours(path, report.run):
            raise Refusal(
                f"{printable(str(path))}: isn't a report of {report.run}, and nothing is overwritten. Remove it, or "
                "name another folder with --output."
            )
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, content in zip(paths, contents, strict=True):
            write_whole(path, content)
    except OSError as error:
        raise Refusal(
            f"{printable(str(place))}: the report can't be written: {error.strerror or error}. Name another folder "
            "with --output."
        ) from None
    return paths


def _is_ours(path: Path, run: str) -> bool:
    try:
        with path.open("rb") as file:
            beginning = file.read(_LOOKED_AT)
    except OSError:
        return False
    return f"Run {run}<".encode() in beginning or beginning.startswith(f"# Run `{run}`".encode())
