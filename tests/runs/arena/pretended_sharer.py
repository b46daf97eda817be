"""The real worker's way of taking run after run, with entries that it only pretends to train.

`python pretended_sharer.py PLAN --turns FD`. A director that it starts has pretended workers too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from pegbox_methods.events import Finished
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision import adopting
from tests.runs.arena import pretended_director
from tests.runs.arena.pretended_trainer import Trainer


class Sharer(Trainer):
    """Carries one of several entries."""

    def finish(self, reason: str) -> None:
        adapter = None if reason == "aborted" else "adapter"
        self.writer.emit(
            Finished(reason=reason, steps=self.step, kept_step=self.step, adapter=adapter, seconds=1.0)  # type: ignore[arg-type]
        )


def carry(folder: RunFolder, *_: Any) -> int:
    """Be a job."""
    Sharer(folder, json.loads(Path(sys.argv[1]).read_bytes())).train()
    return 0


def stand_in(name: str, **names: Any) -> None:
    """Be a module that would import torch."""
    module = ModuleType(name)
    vars(module).update(names)
    sys.modules[name] = module


if __name__ == "__main__":
    stand_in("pegbox_worker.job", carry=carry)
    stand_in("pegbox_worker.base_shelf", BaseShelf=lambda **_: SimpleNamespace(put_back=lambda: None))
    stand_in("pegbox_worker.clean_slate", CleanSlate=lambda: SimpleNamespace(wipe=lambda: None))
    adopting.director_command = lambda *options: pretended_director.command(sys.argv[1], *options)
    from pegbox_worker.__main__ import main

    sys.exit(main(sys.argv[2:]))
