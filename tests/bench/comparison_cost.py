"""Four methods by one comparison, against four `pegbox train` runs of the same recipes one after another.

Goals: the comparison takes at most 0.6x their wall time, its final losses are theirs to 1e-4, and a second comparison
at the same seed gives the same numbers bit for bit.

What a comparison saves is the start of each run: processes, imports, the base model, the rows. So the trainings here
are the shortest that all four methods work with; the longer they are, the less that matters. The recipes are those of
the comparison's own entries, with the judging of rows, so that both sides do the same work. Times go from the command's
start to the end that the log tells.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.spec import read_comparison
from pegbox_runs.judging.judged import Judged, read_judged
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.viewing import state_of
from tests.commands import pegbox, start_detached, wait_until, write_recipe_text

METHODS = ("lora", "dora", "qlora", "adalora")
STEPS = 20
"""The fewest that AdaLoRA works with."""
ROWS = 4
"""Of each step."""
ROUNDS = 3


def finished(folder: RunFolder) -> None:
    """Wait until a run or a comparison is over."""
    wait_until(lambda: state_of(folder).over)
    state = state_of(folder)
    assert state.status == "finished", state.ended


def compared(recipe: Path, home: Path) -> tuple[float, dict[str, Judged], ComparisonFolder]:
    """Carry a comparison. Returns: its seconds, what was judged of each method, and its folder."""
    begin = time.perf_counter()
    asked = ("--methods", ",".join(METHODS), "--seeds", "1", "--no-search", "--detach", "--json")
    done = pegbox("compare", str(recipe), *asked, home=home)
    assert done.returncode == 0, done.stderr
    folder = ComparisonFolder(Path(json.loads(done.stdout)["folder"]))
    finished(folder)
    seconds = time.perf_counter() - begin
    return seconds, {method: judged(entry_of(folder, method)) for method in METHODS}, folder


def entry_of(folder: ComparisonFolder, method: str) -> RunFolder:
    """Give a method's one training."""
    return folder.entry(f"{method}.seed-{read_comparison(folder).seeds[0]}")


def trained(comparison: ComparisonFolder, home: Path) -> tuple[float, dict[str, Judged]]:
    """Train each of a comparison's recipes on its own. Returns: the seconds of all, and what was judged of each."""
    found = {}
    begin = time.perf_counter()
    for method in METHODS:
        folder = start_detached(entry_of(comparison, method).recipe, home)
        finished(folder)
        found[method] = judged(folder)
    return time.perf_counter() - begin, found


def judged(folder: RunFolder) -> Judged:
    found = read_judged(folder.path)
    assert found is not None
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch, "home")
        os.environ["PEGBOX_HOME"] = str(home)
        recipe = write_recipe_text(
            Path(scratch),
            rows={"limit": 200},
            training={"max_steps": STEPS, "micro_batch": ROWS, "accumulation": 1},
            evaluation={"every": STEPS},
        )
        _, first, folder = compared(recipe, home)
        together, apart, differences, same = [], [], [], True
        for _ in range(ROUNDS):
            seconds, alone = trained(folder, home)
            apart.append(seconds)
            seconds, again, _ = compared(recipe, home)
            together.append(seconds)
            differences += [abs(alone[one].after.held_out.mean - first[one].after.held_out.mean) for one in METHODS]
            same = same and {one: (it.before, it.after, it.kept_step) for one, it in first.items()} == {
                one: (it.before, it.after, it.kept_step) for one, it in again.items()
            }
    one, other = statistics.median(together), statistics.median(apart)
    print(
        f"{len(METHODS)} methods of {STEPS} steps of {ROWS} rows by one comparison {one:.1f} s, by {len(METHODS)} runs "
        f"{other:.1f} s: {one / other:.2f}x (goal 0.6x); largest difference of their final "
        f"losses {max(differences):.1e} (goal 1e-4); "
        f"{ROUNDS + 1} comparisons {'gave the same numbers bit for bit' if same else 'DIFFER from each other'}"
    )


if __name__ == "__main__":
    main()
