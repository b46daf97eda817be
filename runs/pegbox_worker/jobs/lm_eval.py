"""The job `lm-eval`: hold a run's model and its base against tasks of EleutherAI's harness."""

from __future__ import annotations

import msgspec

from pegbox_runs.evaluating.outside.asking import HarnessFigure, HarnessRequest
from pegbox_runs.tuned import tuned_run
from pegbox_worker.jobs.contact import Contact
from pegbox_worker.outside.harness import measure


def run(request: bytes, contact: Contact) -> list[HarnessFigure]:
    """Give both models' figures. Raises: Refusal; OutOfMemoryAt."""
    asked = msgspec.json.decode(request, type=HarnessRequest)
    return measure(tuned_run(asked.run, base=asked.base), asked, contact.tell)
