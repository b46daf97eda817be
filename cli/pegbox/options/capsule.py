"""What `pegbox capsule` can be asked."""

from __future__ import annotations

import argparse

SUMMARY = "pack what repeats a run and shows what came of it into one file"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("run", metavar="RUN", nargs="?", default="last", help="(default: last)")
