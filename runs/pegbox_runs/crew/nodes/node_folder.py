"""What a machine that isn't node 0 keeps of a run while it takes part."""

from __future__ import annotations

import shutil
from pathlib import Path

from pegbox_methods.home import home
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import read_recipe, write_recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.changes import CHANGEABLE, revisions
from pegbox_runs.crew.nodes.differing import differing_keys, plain, with_places_of
from pegbox_runs.crew.nodes.words import Welcome
from pegbox_runs.crew.rank_files import RANKS
from pegbox_runs.printable import one_line
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.whole_file import write_whole


def node_folder(run: str, node: int) -> RunFolder:
    """Name the folder of a machine's part in a run. It may not exist yet; it isn't among the runs."""
    return RunFolder(home() / "nodes" / f"{Path(run).name}-node{node}")


def fill(folder: RunFolder, welcome: Welcome, own: Recipe) -> None:
    """Write what the processes here read, as it is on node 0; only where files lie is as this machine's recipe says.

    `own`: that recipe, complete. Raises: Refusal: it isn't the run's. OSError.
    """
    folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.checkpoints.mkdir(mode=0o700, exist_ok=True)
    shutil.rmtree(folder.path / RANKS, ignore_errors=True)  # of an earlier attempt
    write_whole(folder.recipe, welcome.recipe.encode())
    run = read_recipe(folder.recipe)
    differing = differing_keys(plain(own), plain(run))
    if differing:
        raise Refusal(
            f"its recipe is another one than node 0's: {'; '.join(differing)}. Give all machines the same recipe, and "
            "the same --set; only where the model and the rows lie may differ."
        )
    write_recipe(with_places_of(run, own), folder.recipe)
    for place, content in (
        (folder.changes, welcome.changes),
        (folder.environment, welcome.environment),
        (folder.events, ""),
        (folder.commands, ""),
    ):
        write_whole(place, content.encode())
    _refuse_other_run(folder)
    folder.log.touch(mode=0o600)


def _refuse_other_run(folder: RunFolder) -> None:
    """See that the changes since the run's beginning are such as a run can have. Raises: Refusal.

    Else they could name other files of this machine than its own recipe does.
    """
    keys = [change.key for revision in revisions(folder) for change in revision.changes]
    foreign = [key for key in keys if key.partition(".")[0] not in CHANGEABLE]
    if foreign:
        raise Refusal(
            f"node 0 says that {one_line(foreign[0], 80)} was changed on the way, which no run can: only "
            f"{', '.join(CHANGEABLE)} can. See who answers at the rendezvous."
        )


def discard(folder: RunFolder) -> None:
    """Remove it, once the run is over: all that matters is on node 0."""
    shutil.rmtree(folder.path, ignore_errors=True)
