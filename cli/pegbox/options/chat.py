"""What `pegbox chat` can be asked."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from pegbox.options.view import add_view

SUMMARY = "talk to a run's model, beside its base or other runs of the same base"
LONGEST = 1_000_000


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("run", metavar="RUN", nargs="*", help="one or several of the same base (default: last)")
    parser.add_argument("--base", metavar="MODEL", help="where the base model lies now, if it was moved since")
    parser.add_argument(
        "--both",
        action=argparse.BooleanOptionalAction,
        help="whether the base model answers too (default: on a screen yes, in lines no)",
    )
    parser.add_argument("--once", metavar="TEXT", help="ask this, and end with its answer")
    parser.add_argument(
        "--prompt", action="store_true", help="in lines: show before each answer the prompt as the model sees it"
    )
    parser.add_argument(
        "--system", metavar="TEXT", help="what the system says first (default: what every row of the training said)"
    )
    parser.add_argument(
        "--temperature",
        type=_number(float, 0, 5),
        default=0.0,
        metavar="T",
        help="0 always takes the likeliest token, so that only the model makes a difference (default 0)",
    )
    parser.add_argument(
        "--top-p",
        type=_number(float, 1e-6, 1),
        default=1.0,
        metavar="P",
        help="above temperature 0: draw from the likeliest tokens that together have this probability (default 1)",
    )
    parser.add_argument(
        "--seed", type=_number(int, 0, 2**62 - 1), default=0, metavar="N", help="of the draws (default 0)"
    )
    parser.add_argument(
        "--tokens", type=_number(int, 1, LONGEST), default=512, metavar="N", help="longest answer (default 512)"
    )
    add_view(parser)


def _number(kind: type[int] | type[float], least: float, most: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(-1)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text}: is no number from {least:g} to {most:g}")
        return value

    return read
