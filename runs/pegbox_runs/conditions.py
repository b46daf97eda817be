"""What a run would stand on here: the model, this installation, and the one device that the worker would get."""

from __future__ import annotations

import dataclasses
import os

from pegbox_hardware.gpu import Gpu
from pegbox_hardware.machine import Machine, probe
from pegbox_methods.advice.places import capability_of
from pegbox_methods.suitability import Conditions, bitsandbytes_is_here, packed_by
from pegbox_runs.models import FoundModel


def conditions_here(model: FoundModel | None) -> Conditions:
    """Say what a method would be used with on this machine; without a model, nothing of that rules a method out."""
    gpu = gpu_of_run(probe())
    return Conditions(
        shape=None if model is None else model.shape,
        packed_by=None if model is None else packed_by(model.config),
        bitsandbytes=bitsandbytes_is_here(),
        accelerator="cpu" if gpu is None else gpu.kind,
        capability=None if gpu is None else capability_of(gpu),
    )


def conditions_on_cluster(model: FoundModel, *, gpus: bool) -> Conditions:
    """Say what a method would be used with on a cluster's nodes: of their GPUs nothing is known but that they are."""
    here = conditions_here(model)
    return dataclasses.replace(here, accelerator="cuda" if gpus else "cpu", capability=None)


def gpu_of_run(machine: Machine) -> Gpu | None:
    """Foretell the GPU that `pegbox_runs.launch` shows to a worker; None: there is none.

    NVIDIA's go first; of several, the first that the user made visible, else the one with the most free memory.
    """
    gpus = [gpu for gpu in machine.gpus if gpu.kind == "cuda"] or [*machine.gpus]
    if any(name in os.environ for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")):
        return next(iter(gpus), None)
    return max(gpus, key=lambda gpu: gpu.memory_free or 0, default=None)
