"""What `pegbox verify` can be asked."""

from __future__ import annotations

import argparse

SUMMARY = "repeat the run of a capsule, and say whether the same came of it, or where it differs"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("capsule", metavar="CAPSULE", help="a file that `pegbox capsule` wrote")
    parser.add_argument(
        "--rows", metavar="FILE", help="the rows, where they don't lie where the recipe says; they must be the same"
    )
    parser.add_argument("--held-out", metavar="FILE", help="the held-out rows, if the run had a file of them; likewise")
    parser.add_argument("--model", metavar="MODEL", help="the base model, where it lies elsewhere; it must be the same")
    parser.add_argument("--only-check", action="store_true", help="say what differs on this machine, and train nothing")
    parser.add_argument("--discard", action="store_true", help="remove the repeated run once it was compared")
