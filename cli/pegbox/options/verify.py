"""What `pegbox verify` can be asked."""

from __future__ import annotations

import argparse

SUMMARY = "repeat the run of a capsule, and say whether the same came of it, or where it differs"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("capsule", metavar="CAPSULE", help="a file that `pegbox capsule` wrote")
