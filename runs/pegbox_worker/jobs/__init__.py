"""The worker's jobs beside training: each a module with `run(request: bytes, contact: Contact) -> record`, imported
only when it is asked for.

`request` is the JSON that the asker gave; the record is what goes back. An exception becomes the asker's JobFailed.
"""

from __future__ import annotations

JOBS = {
    "certify": "pegbox_worker.jobs.certify:run",
    "chat": "pegbox_worker.jobs.chat:run",
    "convert": "pegbox_worker.jobs.convert:run",
    "evaluate": "pegbox_worker.jobs.evaluate:run",
    "fetch-rows": "pegbox_worker.jobs.fetch_rows:run",
    "gguf": "pegbox_worker.jobs.gguf:run",
    "lm-eval": "pegbox_worker.jobs.lm_eval:run",
    "measure": "pegbox_worker.jobs.measure:run",
    "merge": "pegbox_worker.jobs.merge:run",
    "pairs": "pegbox_worker.jobs.pairs:run",
    "simulate": "pegbox_worker.jobs.simulate:run",
    "tasks": "pegbox_worker.jobs.tasks:run",
    "torch-facts": "pegbox_worker.jobs.torch_facts:run",
    "trl-script": "pegbox_worker.jobs.trl_script:run",
}
"""Module and function by the job's name."""
