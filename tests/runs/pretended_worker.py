"""A worker that only says and does what a plan tells it: `python pretended_worker.py PLAN`, a JSON file.

The plan holds a list of deeds for each attempt, by number; the last one's serves for those behind it too.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from pegbox_methods.events import Finished, Memory, Paused, Phase, Resumed, Step, WorkerFailed
from pegbox_runs.commands import CommandReader, answer
from pegbox_runs.event_log import EventReader, EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState, catch_up

SLICE_SECONDS = 0.02


class Pretender:
    """Carries out deeds; a `stop`, a SIGTERM or an `abort` ends it as they would a real worker, unless it is deaf."""

    def __init__(self, folder: RunFolder) -> None:
        state = catch_up(EventReader(folder.events), RunState())
        self.attempt = state.started.attempt if state.started else 1
        self.step = 0
        self.deaf = False
        self.stopped = False
        self.folder = folder
        self.writer = EventWriter(folder.events)
        self.reader = CommandReader(folder.commands, state.answered)
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, *_: object) -> None:
        self.stopped = True

    def heed(self) -> None:
        if self.deaf:
            return
        for command in self.reader.new():
            self.writer.emit(answer(command, "as you say", taken=True))
            if command.command in ("stop", "abort"):
                self.finish("stopped" if command.command == "stop" else "aborted")
        if self.stopped:
            self.finish("stopped")

    def finish(self, reason: str) -> None:
        adapter = None if reason == "aborted" else "adapter"
        self.writer.emit(
            Finished(reason=reason, steps=self.step, kept_step=self.step, adapter=adapter, seconds=1.0)  # type: ignore[arg-type]
        )
        os._exit(0)

    def do(self, deed: str, what: Any) -> None:
        match deed:
            case "resumed":
                self.step = what
                self.writer.emit(Resumed(step=what, folder=f"checkpoints/checkpoint-{what}"))
            case "steps":
                for _ in range(what):
                    self.step += 1
                    self.writer.emit(_step(self.step))
            case "phase":
                self.writer.emit(Phase(phase=what))
            case "fail":
                kind, sentence = what
                self.writer.emit(
                    WorkerFailed(kind=kind, what=sentence, where="training", remedy="Mend it.", step=self.step)
                )
                os._exit(1)
            case "kill":
                os.kill(os.getpid(), what)
            case "exit":
                os._exit(what)
            case "pause":
                self.writer.emit(Paused(step=self.step, memory=what))
                if what == "released":
                    os._exit(0)
            case "deaf":
                self.deaf = True
            case "wait":
                until = time.monotonic() + what
                while time.monotonic() < until:
                    self.heed()
                    time.sleep(SLICE_SECONDS)
            case "finish":
                self.finish(what)


def _step(number: int) -> Step:
    return Step(
        step=number,
        epoch=number / 10,
        loss=3.0,
        learning_rate=1e-4,
        gradient_norm=1.0,
        tokens=7,
        tokens_per_second=3.5,
        step_seconds=2.0,
        memory=Memory(),
    )


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_bytes())
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return
    folder = RunFolder(Path(os.fsdecode(line[:-1])))
    pretender = Pretender(folder)
    plan = plan.get(folder.id, plan)
    for deed, what in plan.get(str(pretender.attempt)) or plan[max(plan, key=int)]:
        pretender.do(deed, what)


if __name__ == "__main__":
    main()
