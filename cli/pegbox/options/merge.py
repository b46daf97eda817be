"""What `pegbox merge` can be asked."""

from __future__ import annotations

import argparse

SUMMARY = "fold a run's adapter into its base model in full precision, and prove that it is the same model"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("run", metavar="RUN", nargs="?", default="last", help="(default: last)")
