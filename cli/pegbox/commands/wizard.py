"""pegbox, alone in a terminal: the wizard."""

from __future__ import annotations

import argparse
import gc

from pegbox.answer import say


def run(asked: argparse.Namespace) -> int:  # noqa: ARG001 - every command has it
    """Show the wizard; what is left to say once it is gone stays on the terminal."""
    gc.disable()  # some thousand new objects of modules, again and again searched for garbage: 20 ms of the first frame
    from pegbox_tui.shell.look import Look
    from pegbox_tui.shell.threads import end_at_once
    from pegbox_tui.wizard.app import open_wizard

    gc.freeze()
    gc.enable()
    for line in open_wizard(Look.here()).lines:
        say(line)
    end_at_once(0)
    return 0
