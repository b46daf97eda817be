"""A rank that only says and does what a plan tells it, by attempt and rank; `*` stands for all that aren't named."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from pegbox_methods.events import Event
from pegbox_runs.crew.rank_files import RankTrouble
from pegbox_runs.event_log import EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_worker.ranks.beating import Beat
from pegbox_worker.ranks.entry import die_with_parent
from tests.runs.pretended_worker import Pretender


class Mute(EventWriter):
    """Of a rank that doesn't lead."""

    def __init__(self, _: Path) -> None:
        pass

    def emit(self, event: Event) -> None:
        pass


def main(plan: str, folder: RunFolder, attempt: int, rank: int) -> None:
    """Do it."""
    die_with_parent()
    beat = Beat(folder, attempt, rank)
    beat.start()
    if rank:
        Pretender.heed = lambda _: None  # type: ignore[method-assign]
        Pretender.finish = lambda *_: os._exit(0)  # type: ignore[method-assign]
    pretender = Pretender(folder)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if rank:
        pretender.writer = Mute(folder.events)
    deeds: dict[str, Any] = json.loads(Path(plan).read_bytes())
    of_attempt = deeds.get(str(attempt)) or deeds[max(deeds, key=int)]
    for deed, what in of_attempt.get(str(rank), of_attempt.get("*")):
        match deed:
            case "doing":
                beat.doing(what)
            case "steps":
                beat.doing("training")
                pretender.do(deed, what)
                beat.done(pretender.step)
                beat.end() if what == 0 else None
            case "trouble":
                beat.fail(RankTrouble(where="training at step 2", remedy="Mend it.", **what))
                time.sleep(0.3)
                os._exit(1)
            case "stubborn":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            case "lose":
                while pretender.step >= 0:  # waits for the others, as a call to them would
                    time.sleep(0.02)
            case _:
                pretender.do(deed, what)


if __name__ == "__main__":
    main(sys.argv[1], RunFolder(Path(sys.argv[2])), int(sys.argv[3]), int(os.environ["RANK"]))
