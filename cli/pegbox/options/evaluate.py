"""What `pegbox evaluate` can be asked."""

from __future__ import annotations

import argparse

from pegbox.options.evaluate_extras import add_extras
from pegbox.options.view import add_ascii

SUMMARY = "hold a run's model against its base on held-out rows: what it gained, what it forgot, and what is chance"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("run", metavar="RUN", nargs="?", default="last", help="or a run's folder (default: last)")
    parser.add_argument("--base", metavar="MODEL", help="where the base model lies now, if it was moved since")
    parser.add_argument("--rows", metavar="FILE", help="other rows than the run's own held-out ones; any form it reads")
    parser.add_argument("--limit", type=int, metavar="N", help="judge by the first N rows only")
    parser.add_argument(
        "--metrics",
        metavar="A,B,...",
        help="measures of greedy answers: exact-match, token-f1, rouge-l (default: all), or none",
    )
    parser.add_argument(
        "--answers", type=int, metavar="N", help="questions that both models answer (default: the recipe's, 50)"
    )
    parser.add_argument(
        "--answer-batch", type=int, metavar="N", help="questions that are answered at once (default: as suits)"
    )
    add_extras(parser)
    add_ascii(parser, default=argparse.SUPPRESS)
