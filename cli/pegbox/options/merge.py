"""What `pegbox merge` can be asked."""

from __future__ import annotations

import argparse

SUMMARY = "fold a run's adapter into its base model in full precision, and prove that it is the same model"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("run", metavar="RUN", nargs="?", default="last", help="(default: last)")
    parser.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16", "float16"),
        default="auto",
        help="number format of the weights (default: auto, the one that the base was published in)",
    )
    parser.add_argument(
        "--output", metavar="DIR", help="the new model's folder (default: exports/merged in the run's folder)"
    )
    parser.add_argument("--base", metavar="MODEL", help="where the base model lies now, if it was moved since")
    parser.add_argument(
        "--no-proof", action="store_true", help="don't hold the result against the run; it is marked as unproven"
    )
