"""The `pegbox` command: parses, and imports a wing only for the command that needs it.

What it needs itself is imported within it too, so that Ctrl-C is answered from the first moment on.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

INTERRUPTED = 130
"""128 and the number of SIGINT, as shells tell it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code: 0 well, 1 the answer is no, 2 usage."""
    try:
        try:
            return _run(list(sys.argv[1:] if arguments is None else arguments))
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        _close_output()
        return 1
    except OSError as error:  # a full disk behind our output; `dispatch` answers for all others
        with contextlib.suppress(OSError):
            print(f"pegbox: standard output: {error.strerror or error}.", file=sys.stderr, flush=True)
        _close_output()
        return 2


def _close_output() -> None:
    """Let what still waits to be written go nowhere, so that Python's own last writing finds no fault."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(given: list[str]) -> int:
    from pegbox.streams import make_ready

    make_ready()
    if given == ["--version"]:
        from pegbox import __version__

        print(f"pegbox {__version__}")
        return 0
    from pegbox.compare_options import joined
    from pegbox.parser import build_parser
    from pegbox.terminal import can_draw

    parser = build_parser()
    asked = parser.parse_args(joined(given))
    if asked.command is None:
        if not can_draw():
            parser.print_help()
            return 2
        asked.command, asked.json = "wizard", False
    from pegbox.dispatch import dispatch

    return dispatch(asked)


if __name__ == "__main__":
    sys.exit(main())
