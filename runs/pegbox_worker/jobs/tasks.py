"""The job `tasks`: hold a run's model and its base against tasks that plugins bring."""

from __future__ import annotations

import msgspec

from pegbox_runs.evaluating.outside.asking import TaskScores, TasksRequest
from pegbox_runs.tuned import tuned_run
from pegbox_worker.jobs.contact import Contact
from pegbox_worker.outside.task_scores import score_tasks


def run(request: bytes, contact: Contact) -> list[TaskScores]:
    """Give both models' scores, row by row. Raises: Refusal; OutOfMemoryAt."""
    asked = msgspec.json.decode(request, type=TasksRequest)
    return score_tasks(tuned_run(asked.run, base=asked.base), asked, contact.tell)
