"""report.html of a run: one file that any browser opens without a network, and that runs no script."""

from __future__ import annotations

from pathlib import Path

from pegbox_runs.reporting.page import page_template
from pegbox_runs.run_report.report import Report

_HERE = Path(__file__).parent


def run_html(report: Report) -> bytes:
    """Write the page."""
    return page_template(_HERE).render(report=report, kind=lambda part: type(part).__name__).encode()
