"""What every artefact's record says of the run that it was made of."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pegbox_methods.recipe_file import portable
from pegbox_runs.artefacts.artefact import Artefact, Proof, Target
from pegbox_runs.artefacts.making import Making
from pegbox_runs.environment import installed_libraries
from pegbox_runs.tuned import TunedRun


def record(
    run: TunedRun,
    target: Target,
    begun: Making,
    *,
    began: float,
    number_format: str | None = None,
    proofs: Sequence[Proof] = (),
    unproven: str = "",
    remarks: Sequence[str] = (),
) -> Artefact:
    """Describe what a folder holds, once all its files are there. `began`: by the monotonic clock."""
    return Artefact(
        target=target,
        order=begun.order,
        run=run.id,
        method=run.card.name,
        base=portable(run.model.reference),
        base_sha256=run.environment.weights_sha256 or run.model.weights_sha256(),
        adapter_sha256=run.adapter_sha256(),
        number_format=number_format,
        files=begun.files,
        proofs=tuple(proofs),
        unproven=unproven,
        remarks=tuple(remarks),
        libraries=installed_libraries(),
        seconds=time.monotonic() - began,
    )
