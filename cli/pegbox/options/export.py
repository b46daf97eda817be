"""What `pegbox export` can be asked."""

from __future__ import annotations

import argparse

SUMMARY = "make a run's model ready for another tool, and prove that it is the same model"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("run", metavar="RUN", nargs="?", default="last", help="(default: last)")
