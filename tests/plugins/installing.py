"""Distributions installed as people install them, into a folder that only some processes look into."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / "plugins"
DROP_INS = sorted((PLUGINS / "dropins").glob("*.py"))


def method_of(drop_in: Path) -> str:
    """Give the name of the method that a drop-in file brings."""
    return drop_in.stem.replace("_", "-")


def install(target: Path, *distributions: Path) -> Path:
    """Build distributions and install them into a folder, which is to be put on PYTHONPATH. Returns: the folder.

    The environment that the tests run in isn't changed. Without hatchling in it, pip fetches that.
    """
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--target", str(target)]
    if importlib.util.find_spec("hatchling"):
        options += ["--no-build-isolation", "--no-index"]
    asked = [sys.executable, "-m", "pip", "install", *options, *map(str, distributions)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def run_python(*arguments: str, seeing: Path, home: Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run our interpreter with a folder of distributions on its path."""
    return subprocess.run(
        [sys.executable, "-P", *arguments],
        env={**os.environ, "PYTHONPATH": str(seeing), "PEGBOX_HOME": str(home), "OMP_NUM_THREADS": "1"},
        cwd=cwd,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
