"""What `pegbox capsule` can be asked."""

from __future__ import annotations

import argparse

SUMMARY = "pack what repeats a run and shows what came of it into one file"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("run", metavar="RUN", nargs="?", default="last", help="(default: last)")
    parser.add_argument("--base", metavar="MODEL", help="where the base model lies now, if it was moved since")
    parser.add_argument(
        "--output", metavar="FILE", help="where the capsule goes (default: exports/RUN.capsule.zip in the run's folder)"
    )
    parser.add_argument(
        "--with-rows", action="store_true", help="pack the rows too: whoever has the file can read them then"
    )
