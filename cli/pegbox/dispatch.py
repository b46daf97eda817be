"""From a parsed command to its function, and from a refusal to exit code 2."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

import msgspec

from pegbox.answer import answer_json
from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import printable


def dispatch(asked: argparse.Namespace) -> int:
    """Import the command's module, which is called like the command, and run it."""
    command = importlib.import_module(f"pegbox.commands.{asked.command}")
    try:
        code: int = command.run(asked)
        sys.stdout.flush()
    except Refusal as refusal:
        if asked.json:
            faults = [msgspec.to_builtins(fault) for fault in refusal.faults]
            answer_json({"error": refusal.sentence, "faults": faults})
        print(f"pegbox: {printable(refusal.sentence)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code
