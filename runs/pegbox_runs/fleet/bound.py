"""Become another program that dies with the process which started it: `python -P -m pegbox_runs.fleet.bound PID ...`.

A post that is killed by SIGKILL can't end its worker any more; the kernel does. Elsewhere than on Linux nobody does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from pegbox_runs.process_bonds import end_with_parent


def bound_command(command: Sequence[str]) -> list[str]:
    """Give the command line of a program that shall die with this process."""
    return [sys.executable, "-P", "-m", __spec__.name, str(os.getpid()), *command]


def main(arguments: Sequence[str]) -> None:
    """Become the program. `arguments`: the id of the process that started this one, then the command line."""
    end_with_parent()
    if os.getppid() != int(arguments[0]):
        sys.exit(1)  # it died before it could be bound to
    os.execv(arguments[1], list(arguments[1:]))  # noqa: S606  # what Pegbox starts itself


if __name__ == "__main__":
    main(sys.argv[1:])
