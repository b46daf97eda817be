"""From a parsed command to its function, and from a refusal to exit code 2."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from keyword import iskeyword

from msgspec.structs import asdict

from pegbox.answer import answer_json
from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import printable


def dispatch(asked: argparse.Namespace) -> int:
    """Import the command's module, which is called like the command, and run it."""
    _set_look(asked)
    command = importlib.import_module(f"pegbox.commands.{_module(asked.command)}")
    try:
        code: int = command.run(asked)
        sys.stdout.flush()
    except BrokenPipeError:  # no fault of a disk; `main` knows
        raise
    except Refusal as refusal:
        return _refused(refusal, json=asked.json)
    except OSError as error:  # a disk or a permission nobody foresaw
        sys.stdout.flush()  # fails again where it is the output that can't be written; `main` says so
        named = f"{error.filename}: " if error.filename else ""
        return _refused(Refusal(f"{named}{error.strerror or error}."), json=asked.json)
    return code


def _module(command: str) -> str:
    """Name the module of a command; one that is a word of Python's has an underscore behind it."""
    return f"{command}_" if iskeyword(command) else command.replace("-", "_")


def _set_look(asked: argparse.Namespace) -> None:
    """Put how screens shall be drawn where all of them look for it: the surroundings."""
    for name in ("calm", "ascii"):
        if getattr(asked, name, False):
            os.environ[f"PEGBOX_{name.upper()}"] = "1"


def _refused(refusal: Refusal, *, json: bool) -> int:
    """Say why not. What came from outside is made printable for JSON too, which can't hold every name of a file."""
    if json:
        faults = [{key: value and printable(value) for key, value in asdict(fault).items()} for fault in refusal.faults]
        answer_json({"error": printable(refusal.sentence), "faults": faults})
    print(f"pegbox: {printable(refusal.sentence)}", file=sys.stderr)
    return 2
