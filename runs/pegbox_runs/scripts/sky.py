"""A task for SkyPilot, which rents machines from clouds.

Source: docs.skypilot.co, reference/yaml-spec (resources, num_nodes, file_mounts, setup, run), reference/storage (mode
MOUNT_CACHED takes appended and renamed files, which MOUNT doesn't), running-jobs/distributed-jobs (SKYPILOT_NODE_RANK,
SKYPILOT_NODE_IPS, SKYPILOT_NUM_NODES; the first address is node 0's).
"""

from __future__ import annotations

import shlex
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.scripts.asked import NO_ACCELERATOR, PORT, Asked

HOME = "/pegbox-home"
"""Where the bucket lies on the machines: runs, and so checkpoints, outlive them."""
INPUTS = "/pegbox-inputs"
_HEAD = """\
# Made by `pegbox train --print sky`. Start it with `sky jobs launch FILE` (a managed job: it is started again where a
# spot machine is taken away, and goes on from the last checkpoint), or with `sky launch FILE` for once.
# The bucket's name must be yours alone in the whole cloud: change it. Runs, checkpoints and the adapter lie in it.
"""


def sky(asked: Asked) -> str:
    """Write the task. Raises: Refusal: no card is named, which would be rented."""
    if asked.accelerator is None:
        raise Refusal(
            "a card must be named that SkyPilot shall rent: --accelerator NAME, as `sky show-gpus` lists them, or "
            "'none' for machines without one."
        )
    mounts, places = _inputs(asked)
    task: dict[str, Any] = {
        "name": asked.name,
        "num_nodes": asked.nodes,
        "resources": {**_resources(asked), "use_spot": True},
        "file_mounts": {**mounts, HOME: {"name": f"{asked.name}-CHANGE-ME".lower(), "mode": "MOUNT_CACHED"}},
        "setup": "pip install " + shlex.quote("pegbox==" + version("pegbox")) + "\n",
        "run": _run(asked, places),
    }
    return _HEAD + yaml.dump(task, Dumper=_Readable, sort_keys=False, allow_unicode=True, width=1000)


def _run(asked: Asked, places: list[str]) -> str:
    sets = shlex.join([word for one in places for word in ("--set", one)])
    words = " ".join(filter(None, ["pegbox", asked.train(f"{INPUTS}/{asked.file.name}"), sets, "--go-on --plain"]))
    lines = ["set -eu", f'if [ "${{SKYPILOT_NODE_RANK:-0}}" = 0 ]; then export PEGBOX_HOME={HOME}; fi']
    if asked.nodes > 1:
        lines.append('head=$(echo "$SKYPILOT_NODE_IPS" | head -n 1)')
        where = f'--node-rank "$SKYPILOT_NODE_RANK" --rendezvous "$head:{PORT}"'
        words += f' --nodes "$SKYPILOT_NUM_NODES" {where}'
    return "\n".join([*lines, words]) + "\n"


def _resources(asked: Asked) -> dict[str, Any]:
    if asked.accelerator == NO_ACCELERATOR:
        return {"cpus": f"{max(2, 2 * asked.per_node)}+"}
    return {"accelerators": f"{asked.accelerator}:{asked.per_node}"}


def _inputs(asked: Asked) -> tuple[dict[str, str], list[str]]:
    """Find what lies on this machine. Returns: its place there, and its place here; and the `--set`s that say so.

    Raises: Refusal: rows that are mixed in lie here, which no `--set` names.
    """
    mounts = {f"{INPUTS}/{asked.file.name}": str(asked.file)}
    sets = []
    for key, value in _files(asked.recipe):
        here = Path(value).expanduser()
        if here.is_absolute() and here.exists():
            there = f"{INPUTS}/{key.replace('.', '-')}/{here.name}"
            mounts[there] = str(here)
            sets.append(f"{key}={there}")
    if any(Path(one.file).expanduser().exists() for one in asked.recipe.rows.mix):
        raise Refusal(
            "rows.mix names files of this machine: put them on the Hub or into a bucket, and name them there."
        )
    return mounts, sets


def _files(recipe: Recipe) -> list[tuple[str, str]]:
    named = [
        ("model.name", recipe.model.name),
        ("model.chat_template", recipe.model.chat_template),
        ("rows.file", recipe.rows.file),
        ("split.file", recipe.split.file),
    ]
    return [(key, value) for key, value in named if value is not None]


class _Readable(yaml.SafeDumper):
    """Writes texts of several lines as such."""


_Readable.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)
