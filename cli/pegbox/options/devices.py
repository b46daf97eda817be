"""The options that plan for several devices."""

from __future__ import annotations

import argparse


def add_devices(parser: argparse.ArgumentParser, usual: str) -> None:
    """Add their number, on one machine and on several. `usual`: what holds where none is named."""
    parser.add_argument("--devices", type=int, metavar="N", help=f"GPUs of each machine that carry the run ({usual})")
    parser.add_argument("--nodes", type=int, default=1, metavar="N", help="machines, alike (default 1)")
    parser.add_argument("--network", type=float, metavar="GBIT", help="speed of the link between them, in Gbit/s")
