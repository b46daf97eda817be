"""The job `pairs`: the answers of a run's model and of its base that a judge is to compare."""

from __future__ import annotations

import msgspec

from pegbox_runs.evaluating.outside.asking import PairsRequest
from pegbox_runs.evaluating.outside.judge import Pair
from pegbox_runs.tuned import tuned_run
from pegbox_worker.jobs.contact import Contact
from pegbox_worker.outside.pairs import answer_both


def run(request: bytes, contact: Contact) -> list[Pair]:
    """Give the questions with both answers. Raises: Refusal; OutOfMemoryAt."""
    asked = msgspec.json.decode(request, type=PairsRequest).asked
    return answer_both(tuned_run(asked.run, base=asked.base), asked, contact.tell)
