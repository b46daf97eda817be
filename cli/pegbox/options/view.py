"""How a screen is drawn, wherever a command may open one."""

from __future__ import annotations

import argparse


def add_view(parser: argparse.ArgumentParser) -> None:
    """Add `--plain` to a command that may open a screen, and how that is drawn."""
    parser.add_argument("--plain", action="store_true", help="plain lines, as where there is no terminal")
    # Without a default, a command that isn't told leaves what stood before it: `pegbox --calm watch`.
    add_look(parser, default=argparse.SUPPRESS)


def add_look(parser: argparse.ArgumentParser, *, default: bool | str) -> None:
    """Add how screens are drawn, wherever one opens."""
    parser.add_argument(
        "--calm",
        action="store_true",
        default=default,
        help="no animation, one update every five seconds: for slow lines (or PEGBOX_CALM=1)",
    )
    add_ascii(parser, default=default)


def add_ascii(parser: argparse.ArgumentParser, *, default: bool | str) -> None:
    """Add in which letters screens are drawn, and tables that are printed."""
    parser.add_argument(
        "--ascii",
        action="store_true",
        default=default,
        help="draw with ASCII alone: for terminals without Unicode (or PEGBOX_ASCII=1)",
    )
