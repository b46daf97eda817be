"""Which build of torch fits a driver and its cards, and the command that installs it."""

from __future__ import annotations

from collections.abc import Sequence

from pegbox_hardware.gpu import Gpu
from pegbox_runs.torch_facts import TorchFacts

PIP = "python -m pip install"
WHEELS = "https://download.pytorch.org/whl"
CHOOSER = "https://pytorch.org/get-started/locally"

DRIVERS = {13: 580, 12: 525, 11: 450}
"""The oldest driver for each major version of CUDA; within one, any minor version runs.

Source: https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html, table 1.
"""
ROCM_BUILDS = {"2.13": "7.2"}
"""The ROCm that a torch is built for, by torch's major and minor version. Source: the release notes of torch 2.13."""


def fitting_build(torch: TorchFacts, gpus: Sequence[Gpu]) -> str | None:
    """Name the wheels' folder to take the same torch from, as `cu130`: its code serves all these devices of one kind.

    Of NVIDIA's, the newest that the driver knows; where it knows none, the oldest of its major version, which runs all
    the same. None: there is no such build, or no table of builds.
    """
    if any(gpu.kind == "rocm" for gpu in gpus):
        rocm = ROCM_BUILDS.get(".".join(torch.version.split(".")[:2]))
        return f"rocm{rocm}" if rocm and torch.build != "rocm" else None
    fitting = [cuda for cuda, codes in torch.releases.items() if all(_fits(cuda, codes, gpu) for gpu in gpus)]
    known = [cuda for cuda in fitting if all(gpu.cuda is None or _number(cuda) <= _number(gpu.cuda) for gpu in gpus)]
    best = max(known, key=_number) if known else min(fitting, key=_number, default=None)
    return f"cu{best.replace('.', '')}" if best else None


def install_command(torch: TorchFacts, folder: str) -> str:
    """Give the command that replaces this torch by the same version from another folder."""
    return f"{PIP} --force-reinstall torch=={base_version(torch)} --index-url {WHEELS}/{folder}"


def base_version(torch: TorchFacts) -> str:
    """Give torch's version without its build, as `2.13.0`."""
    return torch.version.partition("+")[0]


def driver_too_old(torch: TorchFacts, gpu: Gpu) -> bool:
    """Tell whether the driver serves only an older major version of CUDA than this torch was built for."""
    return gpu.kind == "cuda" and 0 < cuda_major(gpu.cuda) < cuda_major(torch.build_version)


def has_code(torch: TorchFacts, gpu: Gpu) -> bool:
    """Tell whether this torch was built for a device's architecture; true where it isn't known."""
    if gpu.kind == "rocm":
        return gpu.architecture is None or gpu.architecture in {arch.partition(":")[0] for arch in torch.architectures}
    codes = [int("".join(letter for letter in arch if letter.isdigit()) or 0) for arch in torch.architectures]
    return gpu.kind != "cuda" or gpu.compute_capability is None or _serves(codes, gpu.compute_capability)


def cuda_major(version: str | None) -> int:
    """Give the major version of CUDA, 0 where it isn't known."""
    return _number(version)[0]


def _fits(cuda: str, codes: Sequence[int], gpu: Gpu) -> bool:
    served = gpu.cuda is None or cuda_major(cuda) <= cuda_major(gpu.cuda)
    return served and (gpu.compute_capability is None or _serves(codes, gpu.compute_capability))


def _serves(codes: Sequence[int], capability: str) -> bool:
    """Tell whether code of any of these runs there: within a major version, older code runs on newer cards."""
    major, minor = (int(part) for part in capability.split("."))
    return any(code // 10 == major and code % 10 <= minor for code in codes)


def _number(version: str | None) -> tuple[int, ...]:
    return tuple(int(part) if part.isdecimal() else 0 for part in (version or "0").split("."))
