"""Asking Slurm by its own commands: argument lists alone, a time limit for each, and few of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import one_line
from pegbox_runs.secrets import LEAST_CHARACTERS, SECRET_NAME

COMMANDS = ("sbatch", "squeue", "scancel", "sinfo", "srun")
ANSWER_SECONDS = 30.0
"""Slurm's own commands try again for some seconds where the controller doesn't answer."""
OURS = ("SBATCH_", "SLURM_", "SRUN_", "SQUEUE_", "SINFO_", "SCANCEL_", "SALLOC_")
"""Variables by which options come that nobody gave here; but `SLURM_CONF` says where Slurm is."""


def refuse_missing() -> None:
    """Raises: Refusal: this machine has no Slurm."""
    missing = [name for name in COMMANDS if shutil.which(name) is None]
    if missing:
        raise Refusal(
            f"--on slurm: {', '.join(missing)} can't be found on this machine. Start the comparison on a login node of "
            "the cluster, with Slurm's commands on the PATH."
        )


def asked(command: Sequence[str], text: str | None = None, seconds: float = ANSWER_SECONDS) -> str:
    """Run a command of Slurm's. `text`: what it reads on its standard input. Returns: what it printed.

    Raises: OSError: it failed, in its own words, or gave no answer in time.
    """
    try:
        done = subprocess.run(
            command,
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            env=environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise OSError(f"{command[0]} gave no answer within {seconds:.0f} s") from None
    if done.returncode != 0:
        raise OSError(one_line(" ".join(_words(done.stderr)) or f"{command[0]} ended with {done.returncode}", 400))
    return done.stdout


def environment() -> dict[str, str]:
    """Give the variables that Slurm's commands get, and jobs after them: without secrets, which Slurm would keep."""
    return {
        name: value
        for name, value in os.environ.items()
        if (name == "SLURM_CONF" or not name.startswith(OURS))
        and not (SECRET_NAME.search(name) and len(value) >= LEAST_CHARACTERS)
    }


def _words(stderr: str) -> list[str]:
    """Take off what each line begins with: the command's name."""
    lines = (line.strip() for line in stderr.splitlines())
    return [line.partition(": error: ")[2] or line for line in lines if line]
