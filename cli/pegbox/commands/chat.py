"""pegbox chat"""

from __future__ import annotations

import argparse

from pegbox_methods.refusal import Refusal


def run(asked: argparse.Namespace) -> int:
    """Not yet."""
    raise Refusal(f"{asked.command}: being written.")
