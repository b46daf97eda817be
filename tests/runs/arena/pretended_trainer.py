"""A worker that only pretends to train entries: `python pretended_trainer.py PLAN`, a JSON file that may change.

It needs a moment for each step, saves each, heeds what is asked of it, and its losses hang on the recipe alone. The
plan says what goes wrong: entry's id -> attempt -> [step, deed, value], as `pretended_worker.py` knows deeds; "trouble"
fails the attempt in a kind and words, "lose" leaves no judged.json.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from pegbox_methods.events import Evaluation, Memory, Resumed, WorkerFailed
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import read_recipe
from pegbox_runs.judging.judged import Judged, Judgement, RowLosses, write_judged
from pegbox_runs.run_folder import RunFolder
from tests.runs.pretended_worker import Pretender
from tests.stories import prepared, step

ROWS = 8
STEP_SECONDS = 0.002
BEST = {"lora": 1e-3, "dora": 3e-3}


def losses(recipe: Recipe) -> RowLosses:
    """Give what a model made by a recipe loses on each row."""
    rate = recipe.training.learning_rate or 1.0
    off = abs(math.log(rate / BEST.get(recipe.output.note, 1e-3)))
    steps = recipe.training.max_steps or 1
    one = 10 + off + 1 / steps + recipe.seeds.training / 1000
    return RowLosses(nats=tuple(one + row / 100 for row in range(ROWS)), tokens=(10,) * ROWS)


class Trainer(Pretender):
    """Carries one entry."""

    def __init__(self, folder: RunFolder, plan: dict[str, Any]) -> None:
        super().__init__(folder)
        self.recipe = read_recipe(folder.recipe)
        self.plan = plan.get(folder.id, {}).get(str(self.attempt))
        self.step_seconds = plan.get("step_seconds", STEP_SECONDS)
        self.saved = folder.checkpoints / "saved"

    def train(self) -> None:
        """Train to the end, or to what the plan has."""
        self.writer.emit(prepared())
        if self.attempt > 1:
            self.step = int(self.saved.read_text()) if self.saved.exists() else 0
            self.writer.emit(Resumed(step=self.step, folder="checkpoints/saved" if self.step else None))
        while self.step < (self.recipe.training.max_steps or 0):
            if self.plan is not None and self.plan[0] == self.step:
                self.go_wrong(*self.plan[1:])
            self.heed()
            time.sleep(self.step_seconds)
            self.step += 1
            self.writer.emit(step(self.step))
            self.save()
        self.heed()
        after = losses(self.recipe)
        self.writer.emit(
            Evaluation(
                step=self.step, loss=after.mean, perplexity=1.0, tokens=80, seconds=0.1, best=True, memory=Memory()
            )
        )
        before = Judgement(held_out=RowLosses(nats=(30.0,) * ROWS, tokens=(10,) * ROWS))
        if self.plan is None or self.plan[1] != "lose":
            judged = Judged(before=before, after=Judgement(held_out=after), kept_step=self.step, seconds=0.1)
            write_judged(judged, self.folder.path)
        self.finish("completed")

    def save(self) -> None:
        """Keep the step, whole or not at all: it may be killed in here, as a real worker in saving a checkpoint."""
        new = self.saved.with_suffix(".new")
        new.write_text(str(self.step))
        new.replace(self.saved)

    def go_wrong(self, deed: str, what: Any) -> None:
        """Do what the plan has."""
        if deed == "trouble":
            kind, words = what
            self.writer.emit(WorkerFailed(kind=kind, what=words, where="training", remedy="Mend it.", step=self.step))
            os._exit(1)
        elif deed != "lose":
            self.do(deed, what)


def main() -> None:
    line = sys.stdin.buffer.readline()
    if line.endswith(b"\n"):
        plan = json.loads(Path(sys.argv[1]).read_bytes())
        print(f"gpu {os.environ.get('CUDA_VISIBLE_DEVICES')}", flush=True)
        Trainer(RunFolder(Path(os.fsdecode(line[:-1]))), plan).train()


if __name__ == "__main__":
    main()
