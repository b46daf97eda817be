"""What `pegbox import` can be asked."""

from __future__ import annotations

import argparse

SUMMARY = "read a recipe of Axolotl or LLaMA-Factory, and name every key that isn't carried over"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("file", metavar="FILE", help="the other tool's YAML")
    parser.add_argument(
        "--write", metavar="RECIPE", help="write the recipe into a new file, which `pegbox train` takes"
    )
