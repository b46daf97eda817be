"""constraints.txt: the exact version of every distribution that a run's result may depend on, as pip takes it."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution

from pegbox_runs.environment import Environment

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
ONLY_WITH_EXTRA = re.compile(r"\bextra\s*==")
"""A requirement's marker: needed only by a part that one asks for by name."""


def installed(root: str = "pegbox") -> dict[str, str]:
    """List what is installed of all that a distribution needs, and they need in turn: version by normalised name."""
    found: dict[str, str] = {}
    waiting = [root]
    while waiting:
        name = normalised(waiting.pop())
        if name in found:
            continue
        try:
            there = distribution(name)
        except PackageNotFoundError:
            continue
        found[name] = there.version
        for requirement in there.requires or ():
            named = NAME.match(requirement)
            if named and not ONLY_WITH_EXTRA.search(requirement.partition(";")[2]):
                waiting.append(named[0])
    return found


def normalised(name: str) -> str:
    """Write a distribution's name as all tools compare it. Source: PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def constraints(environment: Environment) -> str:
    """Write the lock. Where the run noted a version, that one counts, whatever is installed by now."""
    noted = {normalised(name): version for name, version in environment.libraries.items()}
    versions = {**installed(), "pegbox": environment.pegbox}
    moved = sorted(name for name, version in noted.items() if version and versions.get(name) != version)
    versions |= {name: version for name, version in noted.items() if version}
    lines = [
        f"# Python {environment.machine.python}; take it with: pip install -c constraints.txt pegbox",
        "# The run noted the versions of these itself: " + ", ".join(sorted(noted)) + ".",
        "# The others are those that were installed when the capsule was packed.",
    ]
    if moved:
        lines.append(f"# By then {', '.join(moved)} had been changed, so others may have been changed too.")
    return "\n".join([*lines, *(f"{name}=={versions[name]}" for name in sorted(versions))]) + "\n"
