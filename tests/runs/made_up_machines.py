"""Machines and torches that nobody has here, for tests that judge them."""

from __future__ import annotations

from typing import Any

from pegbox_hardware.disk import Disk
from pegbox_hardware.gpu import Gpu
from pegbox_hardware.machine import Machine
from pegbox_hardware.terminal import Terminal
from pegbox_runs.torch_facts import BitsAndBytes, DeviceFacts, TorchFacts

GIB = 2**30
RELEASES = {
    "12.6": (50, 60, 70, 75, 80, 86, 90),
    "12.9": (75, 80, 86, 90, 100, 120),
    "13.0": (75, 80, 86, 90, 100, 120),
    "13.2": (75, 80, 86, 90, 100, 120),
}


def gpu(**changes: Any) -> Gpu:
    """Make an RTX 4090 with most of its memory free, under a driver of CUDA 13.0."""
    whole: dict[str, Any] = {
        "index": 0,
        "name": "NVIDIA GeForce RTX 4090",
        "uuid": "GPU-8f3a",
        "memory_total": 24 * GIB,
        "memory_free": 23 * GIB,
        "compute_capability": "8.9",
        "driver": "580.65.06",
        "cuda": "13.0",
        "temperature_c": 41,
        "power_w": 71.5,
        "power_limit_w": 450.0,
    }
    return Gpu(**{**whole, **changes})


def machine(*gpus: Gpu, **changes: Any) -> Machine:
    """Make a machine with nothing wrong."""
    whole: dict[str, Any] = {
        "system": "Linux 6.8 x86_64",
        "python": "3.11.7",
        "cpu": "AMD Ryzen 9 7950X",
        "cores": 16,
        "cpu_flags": ("avx2", "avx512f", "avx512_bf16"),
        "memory_total": 64 * GIB,
        "memory_available": 50 * GIB,
        "gpus": gpus,
        "memory_host": 64 * GIB,
        "disks": (disk("runs"), disk("models")),
        "terminal": Terminal(
            term="xterm-256color", colors="truecolor", columns=120, lines=40, ssh=False, multiplexer=None
        ),
    }
    return Machine(**{**whole, **changes})


def disk(what: str, **changes: Any) -> Disk:
    """Make a disk with room."""
    whole: dict[str, Any] = {"path": f"/home/ada/{what}", "total": 1000 * GIB, "free": 400 * GIB, "writable": True}
    return Disk(what=what, **{**whole, **changes})


def device(**changes: Any) -> DeviceFacts:
    """Make a device that torch can use in every way."""
    whole: dict[str, Any] = {
        "name": "NVIDIA GeForce RTX 4090",
        "uuid": "GPU-8f3a",
        "capability": "8.9",
        "fault": None,
        "bf16": True,
        "attention": ("flash", "memory-efficient", "math"),
    }
    return DeviceFacts(**{**whole, **changes})


def torch(*devices: DeviceFacts, **changes: Any) -> TorchFacts:
    """Make a torch for CUDA 13.0 with all its companions."""
    whole: dict[str, Any] = {
        "version": "2.13.0+cu130",
        "build": "cuda",
        "build_version": "13.0",
        "architectures": ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"),
        "releases": RELEASES,
        "devices": devices,
        "fault": None,
        "processor": device(name="x86_64", uuid="", capability=None, attention=("flash", "math")),
        "bitsandbytes": BitsAndBytes(version="0.50.2", library="libbitsandbytes_cuda130.so", fault=None),
        "libraries": {
            "transformers": "5.23.0",
            "peft": "0.21.2",
            "trl": "1.16.0",
            "accelerate": "1.15.0",
            "datasets": "5.2.0",
            "flash-attn": None,
        },
    }
    return TorchFacts(**{**whole, **changes})


def cpu_torch(**changes: Any) -> TorchFacts:
    """Make a torch that was built without CUDA."""
    bare: dict[str, Any] = {"version": "2.13.0+cpu", "build": "cpu", "build_version": None, "architectures": ()}
    return torch(**{**bare, "bitsandbytes": BitsAndBytes(version="0.50.2", library=None, fault=None), **changes})
