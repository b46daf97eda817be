"""pegbox stop RUN"""

from __future__ import annotations

import argparse

from pegbox.command_answer import ask_run


def run(asked: argparse.Namespace) -> int:
    """Ask a run to finish its step, save and end."""
    return ask_run(asked, "stop")
