"""The job `certify`: the conformance kit, on the CPU."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec
import torch

from pegbox_methods.certificate import Certificate
from pegbox_methods.registry import find_card, origin_of
from pegbox_runs.certifying import CertifyRequest
from pegbox_worker.certify.bench import open_bench
from pegbox_worker.certify.kit import certify
from pegbox_worker.jobs.contact import Contact


def run(request: bytes, _contact: Contact) -> dict[str, Certificate]:
    """Answer a CertifyRequest in JSON: by method a certificate with the checks that were asked for.

    Raises: Refusal: no such method, or its card can't be loaded.
    """
    asked = msgspec.json.decode(request, type=CertifyRequest)
    for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"):  # libraries would take a GPU for granted
        os.environ[name] = ""
    torch.set_num_threads(1)  # the model is so small that a second one mostly waits
    cards = {name: find_card(name) for name in asked.names}
    origins = {name: origin_of(name) for name in asked.names}
    with tempfile.TemporaryDirectory(prefix="pegbox-certify-", ignore_cleanup_errors=True) as scratch:
        return certify(cards, origins, open_bench(), Path(scratch), asked.checks)
