"""pegbox abort RUN"""

from __future__ import annotations

import argparse

from pegbox.command_answer import ask_run


def run(asked: argparse.Namespace) -> int:
    """Ask a run, or a comparison with its runs, to end at once."""
    return ask_run(asked, "abort")
