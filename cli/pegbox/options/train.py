"""What `pegbox train` can be asked."""

from __future__ import annotations

import argparse

from pegbox.options.view import add_view

SUMMARY = "start a run from a recipe, detached, and watch it"
SCRIPTS = ("commands", "slurm", "sky")


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument(
        "recipe",
        metavar="RECIPE",
        nargs="+",
        help="a TOML file; `pegbox schema recipe` describes its keys. Several are run one after another",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one value of each recipe, as in training.epochs=3 (may be repeated)",
    )
    view = parser.add_mutually_exclusive_group()
    view.add_argument("--watch", action="store_true", help="watch the run (this is the default)")
    view.add_argument("--detach", action="store_true", help="start the run, tell its id, and return")
    parser.add_argument(
        "--go-on",
        action="store_true",
        help="take the newest run of this very recipe up again if it wasn't completed, else start one: for a cluster "
        "that ends a job and starts the same command anew",
    )
    add_view(parser)
    several = parser.add_argument_group(
        "one run over several machines (devices.processes counts those of all; docs/scale-out.md)"
    )
    several.add_argument("--nodes", type=int, metavar="N", help="how many machines; the same command starts on each")
    several.add_argument(
        "--node-rank", type=int, metavar="K", help="this machine's number: 0 keeps the run, others only take part"
    )
    several.add_argument(
        "--rendezvous", metavar="HOST:PORT", help="node 0's name or address, and a free port there; on all the same"
    )
    scripts = parser.add_argument_group("launchers that aren't Pegbox's")
    scripts.add_argument(
        "--print",
        dest="script",
        choices=SCRIPTS,
        help="start nothing; print the command for each machine, a Slurm batch script, or a SkyPilot task",
    )
    scripts.add_argument(
        "--accelerator", metavar="NAME", help="in such a script: a GPU's name, as in H100; none for no GPU"
    )
