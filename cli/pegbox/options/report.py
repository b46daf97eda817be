"""What `pegbox report` can be asked."""

from __future__ import annotations

import argparse

SUMMARY = "write a run's report: one HTML page that opens offline, and Markdown"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("run", metavar="RUN", nargs="?", default="last", help="(default: last)")
    parser.add_argument("--output", metavar="DIR", help="where to write it (default: the run's folder)")
