"""What `pegbox push` can be asked."""

from __future__ import annotations

import argparse

SUMMARY = "publish a run's adapter or merged model on the Hub, with a model card; all is shown before it is sent"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("run", metavar="RUN", nargs="?", default="last", help="(default: last)")
    parser.add_argument("--repo", metavar="OWNER/NAME", required=True, help="where on the Hub; it is made if need be")
    parser.add_argument(
        "--what",
        metavar="WHAT",
        default="adapter",
        help="adapter, merged, or what `pegbox export` made: its folder, or its name in the run's (default: adapter)",
    )
    parser.add_argument("--public", action="store_true", help="for everybody to see (default: private)")
    parser.add_argument("--revision", metavar="BRANCH", help="a branch; it is made if need be (default: main)")
    parser.add_argument("--base", metavar="MODEL", help="where the base model lies now, if it was moved since")
    parser.add_argument(
        "--base-id", metavar="OWNER/NAME", help="the base's name on the Hub for the card, where the run took a folder"
    )
    parser.add_argument("--dry-run", action="store_true", help="show all of it, and send nothing; works offline")
    parser.add_argument("--yes", action="store_true", help="send without asking, as where there is no terminal")
    parser.add_argument("--replace", action="store_true", help="replace files that lie there, also without asking")
    parser.add_argument(
        "--unproven",
        action="store_true",
        help="send what isn't shown to be the model that was trained; the card says so",
    )
