"""What `pegbox chat` can be asked."""

from __future__ import annotations

import argparse

SUMMARY = "talk to a run's model, beside its base or other runs of the same base"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("run", metavar="RUN", nargs="*", help="one or several of the same base (default: last)")
