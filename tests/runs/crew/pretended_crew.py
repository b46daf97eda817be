"""The real crew over ranks that only pretend, less patient: `python pretended_crew.py PLAN`."""

from __future__ import annotations

import sys
from pathlib import Path

from pegbox_runs.crew import __main__ as crew_main
from pegbox_runs.crew import crew, launched, watching
from pegbox_runs.crew.launching import Launch

LAUNCHER = Path(__file__).with_name("pretended_launcher.py")


def command(launch: Launch) -> list[str]:
    """Give the pretended launcher's command line."""
    told = [sys.argv[1], str(launch.folder), str(launch.attempt), str(launch.here)]
    return [sys.executable, "-P", str(LAUNCHER), *told]


if __name__ == "__main__":
    launched.command = command
    crew.LEAVING_SECONDS = 2.0
    crew.LOOK_SECONDS = 0.2
    watching.GONE_SECONDS = watching.STOPPED_SECONDS = 1.0  # type: ignore[misc]
    watching.STILL_SECONDS = watching.STILL_AT_FIRST_SECONDS = 2.0  # type: ignore[misc]
    watching.LONGEST_STEPS = 1  # type: ignore[misc]
    sys.exit(crew_main.main())
