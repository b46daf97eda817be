"""The job `simulate`: the memory of a set-up without a device, by tracing the real libraries."""

from __future__ import annotations

import warnings

import msgspec
import torch

from pegbox_hardware.forecast.simulated import SimulationRequest, SimulationResult
from pegbox_worker.jobs.contact import Contact
from pegbox_worker.simulation.answer import simulate


def run(request: bytes, _contact: Contact) -> SimulationResult:
    """Answer a SimulationRequest in JSON.

    Raises: CannotSimulate.
    """
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)  # nothing is computed
    return simulate(msgspec.json.decode(request, type=SimulationRequest))
