"""The `pegbox` command: parses, and imports a wing only for the command that needs it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pegbox import __version__
from pegbox.compare_options import joined
from pegbox.parser import build_parser
from pegbox.terminal import is_terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code: 0 well, 1 the answer is no, 2 usage."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given == ["--version"]:
        print(f"pegbox {__version__}")
        return 0
    parser = build_parser()
    asked = parser.parse_args(joined(given))
    if asked.command is None:
        if not is_terminal():
            parser.print_help()
            return 2
        asked.command, asked.json = "wizard", False
    from pegbox.dispatch import dispatch

    return dispatch(asked)


if __name__ == "__main__":
    sys.exit(main())
