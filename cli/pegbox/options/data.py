"""What `pegbox data` can be asked."""

from __future__ import annotations

import argparse

from pegbox.options.view import add_view

SUMMARY = "look for what is wrong with rows, mend it, and see what a model would learn of them"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument(
        "file", metavar="FILE", help="JSON, JSONL, CSV, TSV, Parquet or Arrow (also .gz, .zst), a folder, or a Hub id"
    )
    parser.add_argument("--model", metavar="MODEL", help="count tokens and show rows as this model sees them")
    parser.add_argument("--eval", metavar="FILE", help="held-out rows of yours: those that are in both are found")
    parser.add_argument(
        "--format", default="auto", metavar="F", help="what a row looks like, where looking isn't enough"
    )
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="NAME=COLUMN",
        help="which column holds what, as in prompt=frage (may be repeated)",
    )
    parser.add_argument("--balance", metavar="COLUMN", help="how the rows spread over a column's values")
    parser.add_argument("--by", metavar="COLUMN", help="rows that share its value are held out together")
    parser.add_argument("--stratify", metavar="COLUMN", help="hold out the same share of each of its values")
    parser.add_argument("--hold-out", type=float, metavar="SHARE", help="share of rows that is held out (default 0.1)")
    parser.add_argument("--limit", type=int, metavar="N", help="look at the first N rows only")
    parser.add_argument(
        "--length",
        type=int,
        metavar="TOKENS",
        help="the run's training.length: rows are cut and judged there (default: shown rows are cut where advised)",
    )
    parser.add_argument("--micro-batch", type=int, default=4, metavar="N", help="rows that are padded together")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--row", type=int, metavar="N", help="show row N token by token: what is trained, what is context"
    )
    shown.add_argument("--rows", type=int, metavar="N", help="show the first N rows so")
    parser.add_argument("--fix", metavar="FILE", help="write a cleaned copy, and a report beside it; FILE must be new")
    parser.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="NAME",
        help="a finding that --fix leaves alone (may be repeated)",
    )
    parser.add_argument("--rejected", action="store_true", help="list every row that can't be taken, not ten")
    parser.add_argument("--screen", action="store_true", help="open it as a screen, with the rows to leaf through")
    add_view(parser)
