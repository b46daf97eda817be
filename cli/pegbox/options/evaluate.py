"""What `pegbox evaluate` can be asked."""

from __future__ import annotations

import argparse

SUMMARY = "hold a run's model against its base on held-out rows: what it gained, what it forgot, and what is chance"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("run", metavar="RUN", nargs="?", default="last", help="(default: last)")
