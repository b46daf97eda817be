"""The job `convert`: an adapter written as plain LoRA, or held against the run that it was made of."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pegbox_methods.job_events import Progress
from pegbox_runs.exporting.conversion import ConvertRequest, MadeLora, MakeLora, ProvenAdapter
from pegbox_runs.tuned import tuned_run
from pegbox_worker.convert.lora_folder import make_lora
from pegbox_worker.convert.measuring import prove_adapter
from pegbox_worker.jobs.contact import Contact
from pegbox_worker.proving import Heard
from pegbox_worker.tuned_model import device_for_use


def run(request: bytes, contact: Contact) -> MadeLora | ProvenAdapter:
    """Answer a ConvertRequest in JSON.

    Raises: Refusal: the run has nothing to convert, or its base isn't there; what the run changed can't be LoRA.
    """
    asked = msgspec.json.decode(request, type=ConvertRequest)
    tuned = tuned_run(asked.run, base=asked.base)

    def doing(what: str) -> Heard:
        contact.tell(Progress(doing=what))
        return lambda done, of: contact.tell(Progress(doing=what, done=done, of=of))

    if isinstance(asked, MakeLora):
        heard = doing("converting matrices")
        return make_lora(tuned, Path(asked.folder), asked.rank, device_for_use(), heard)
    return prove_adapter(tuned, asked, device_for_use(), doing)
