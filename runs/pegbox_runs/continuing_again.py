"""The same command, started again by a cluster that ended it: its run goes on, in place of another one."""

from __future__ import annotations

import msgspec

from pegbox_methods.events import Finished
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.continuing import continue_run
from pegbox_runs.crew.nodes.place import Nodes, write_nodes
from pegbox_runs.event_log import EventReader
from pegbox_runs.preflight import check
from pegbox_runs.run_folder import RunFolder, all_runs
from pegbox_runs.run_state import RunState, catch_up
from pegbox_runs.supervision.owner import read_owner


def go_on_with(recipe: Recipe, file: str, nodes: Nodes | None) -> RunFolder | None:
    """Continue the newest run of this very recipe. Returns: None: there is none, or it was completed.

    `nodes`: the machines that carry it from here on; the first one may be another than before.
    Raises: Refusal: it can't go on.
    """
    wanted = check(recipe, file=file, nodes=1 if nodes is None else nodes.nodes).recipe
    for folder in reversed(all_runs()):
        if not _is_of(folder, wanted):
            continue
        ended = catch_up(EventReader(folder.events), RunState()).ended
        if isinstance(ended, Finished) and ended.reason == "completed":
            return None
        _forget_former_machine(folder)
        if nodes is not None:
            write_nodes(folder, nodes)
        continue_run(folder)
        return folder
    return None


def _is_of(folder: RunFolder, wanted: Recipe) -> bool:
    """Tell whether a run began with that recipe, as far as its folder can be read."""
    try:
        return msgspec.json.encode(read_recipe(folder.recipe)) == msgspec.json.encode(wanted)
    except Refusal:
        return False


def _forget_former_machine(folder: RunFolder) -> None:
    """Let go of an owner on another machine: the cluster ended what ran there before it started this."""
    owner = read_owner(folder)
    if owner is not None and owner.elsewhere:
        folder.owner.unlink(missing_ok=True)
