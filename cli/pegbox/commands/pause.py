"""pegbox pause RUN"""

from __future__ import annotations

import argparse

from pegbox.command_answer import ask_run


def run(asked: argparse.Namespace) -> int:
    """Ask a run to wait at its step's end, with its memory kept or released."""
    return ask_run(asked, "pause-release" if asked.release else "pause")
