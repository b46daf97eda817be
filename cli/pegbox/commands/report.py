"""pegbox report"""

from __future__ import annotations

import argparse
from pathlib import Path

from pegbox.answer import answer_json, say
from pegbox_runs.run_report.facts import read_facts
from pegbox_runs.run_report.report import report_of
from pegbox_runs.run_report.writing import write_run_report
from pegbox_runs.tuned import run_named


def run(asked: argparse.Namespace) -> int:
    """Write the report of a run as it is now. Returns: 0."""
    folder = run_named(asked.run)
    facts = read_facts(folder)
    report = report_of(facts)
    page, markdown = write_run_report(report, Path(asked.output or folder.path).expanduser().absolute())
    if asked.json:
        answer_json(
            {
                "run": report.run,
                "status": facts.state.status,
                "over": report.over,
                "headline": report.headline,
                "html": str(page),
                "markdown": str(markdown),
            }
        )
    say(report.headline, json=asked.json)
    if not report.over:
        say(f"{report.run} isn't over: make the report again when it is.", json=asked.json)
    say(f"{page}\n{markdown}", json=asked.json)
    return 0
