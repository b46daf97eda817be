"""pegbox checkpoint RUN"""

from __future__ import annotations

import argparse

from pegbox.command_answer import ask_run


def run(asked: argparse.Namespace) -> int:
    """Ask a run for a checkpoint at its step's end."""
    return ask_run(asked, "checkpoint")
