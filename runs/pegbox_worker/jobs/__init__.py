"""The worker's small jobs: each a module with `run(request: bytes) -> record`, imported only when it is asked for.

`request` is the JSON that the asker gave; the record is what goes back. An exception becomes the asker's JobFailed.
"""

from __future__ import annotations

JOBS = {
    "certify": "pegbox_worker.jobs.certify:run",
    "fetch-rows": "pegbox_worker.jobs.fetch_rows:run",
    "measure": "pegbox_worker.jobs.measure:run",
    "simulate": "pegbox_worker.jobs.simulate:run",
    "torch-facts": "pegbox_worker.jobs.torch_facts:run",
}
"""Module and function by the job's name."""
