"""The job `lm-eval`: hold a run's model and its base against tasks of EleutherAI's harness."""

from __future__ import annotations

import msgspec

from pegbox_runs.evaluating.outside.asking import HarnessFigure, HarnessRequest
from pegbox_runs.tuned import tuned_run
from pegbox_worker.jobs.contact import Contact
from pegbox_worker.outside.harness import look_for, measure


def run(request: bytes, contact: Contact) -> list[HarnessFigure]:
    """Give both models' figures; none where the tasks are only looked for. Raises: Refusal; OutOfMemoryAt."""
    asked = msgspec.json.decode(request, type=HarnessRequest)
    if asked.only_look:
        look_for(asked)
        return []
    return measure(tuned_run(asked.run, base=asked.base), asked, contact.tell)
