"""What `pegbox push` can be asked."""

from __future__ import annotations

import argparse

SUMMARY = "publish a run's adapter or merged model on the Hub, with a model card; all is shown before it is sent"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("run", metavar="RUN", nargs="?", default="last", help="(default: last)")
