"""Wait for a job's folder on standard input, do that one job, write its answer as the last event, and end at once."""

from __future__ import annotations

import faulthandler
import importlib
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import cast

import msgspec

from pegbox_methods.events import Answered, Event, Failed
from pegbox_methods.refusal import Refusal, did_you_mean
from pegbox_runs.event_log import EventWriter
from pegbox_runs.jobs import UNTOLD, JobOrder
from pegbox_worker.jobs import JOBS
from pegbox_worker.jobs.contact import Contact


def main() -> int:
    """Do one job. Returns only if nobody asked for one: the exit code 0."""
    os.umask(0o077)
    faulthandler.enable(all_threads=False)  # a crash in a library leaves its place in the log
    # PEFT imports bitsandbytes wherever it is installed, which costs a second; a job that needs it lets it in.
    sys.modules["bitsandbytes"] = None  # type: ignore[assignment]
    line = _first_line()
    if line is None:
        return 0
    folder = Path(os.fsdecode(line))
    contact = Contact(EventWriter(folder / "events.jsonl"))
    contact.listen()
    event = _do((folder / "job.json").read_bytes(), contact)
    contact.tell(event)
    sys.stdout.flush()
    sys.stderr.flush()
    if not contact.writer.flush():
        os._exit(UNTOLD)
    os._exit(0 if isinstance(event, Answered) else 1)  # no library's tear-down may crash or hang after the answer


def _first_line() -> bytes | None:
    """Wait for the line that names the job's folder, and take nothing of what follows it; None: none comes."""
    read = b""
    while not read.endswith(b"\n"):
        one = os.read(0, 1)
        if not one:
            return None
        read += one
    return read[:-1]


def _do(order: bytes, contact: Contact) -> Event:
    try:
        asked = msgspec.json.decode(order, type=JobOrder)
        if asked.job not in JOBS:
            raise Refusal(f'the worker knows no job "{asked.job}"; {did_you_mean(asked.job, JOBS)}')
        answer = msgspec.json.encode(_load(JOBS[asked.job])(bytes(asked.request), contact))
    except Exception as error:  # noqa: BLE001  # every end is told
        traceback.print_exc()
        return Failed(what=_explain(error), where="job", remedy="The end of worker.log says more.")
    return Answered(job=asked.job, answer=msgspec.Raw(answer))


def _load(target: str) -> Callable[[bytes, Contact], object]:
    module, _, name = target.partition(":")
    return cast(Callable[[bytes, Contact], object], getattr(importlib.import_module(module), name))


def _explain(error: Exception) -> str:
    """Say what went wrong in one sentence; torch's own kinds of failure only if the job loaded torch."""
    if "torch" in sys.modules:
        from pegbox_worker.failure import explain

        return explain(error, "job").what
    return error.sentence if isinstance(error, Refusal) else f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main())
