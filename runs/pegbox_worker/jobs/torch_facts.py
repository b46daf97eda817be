"""Try what torch can do here: devices compute, attend and pack to 4 bit; nothing is believed that can be tried."""

from __future__ import annotations

import importlib
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from pegbox_runs.torch_facts import BitsAndBytes, DeviceFacts, TorchFacts
from pegbox_worker.jobs.contact import Contact

LIBRARIES = ("transformers", "peft", "trl", "accelerate", "datasets", "tokenizers", "safetensors", "flash-attn")
KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}


def run(_request: bytes, _contact: Contact) -> TorchFacts:
    """Try everything. Whatever fails there becomes a `fault`."""
    torch.set_num_threads(1)
    devices, fault = _accelerators()
    build, build_version = _build()
    sound = next((place for place, facts in devices if facts.fault is None), torch.device("cpu"))
    return TorchFacts(
        version=str(torch.__version__),
        build=build,
        build_version=build_version,
        architectures=tuple(torch.cuda.get_arch_list()) if build in {"cuda", "rocm"} else (),
        releases=_releases(),
        devices=tuple(facts for _, facts in devices),
        fault=fault,
        processor=_tried(torch.device("cpu"), name=platform.processor() or platform.machine()),
        bitsandbytes=_bitsandbytes(sound),
        libraries={name: _version(name) for name in LIBRARIES},
    )


def _build() -> tuple[Literal["cpu", "cuda", "rocm", "mps"], str | None]:
    if torch.version.hip:
        return "rocm", ".".join(str(torch.version.hip).split(".")[:2])
    if torch.version.cuda:
        return "cuda", str(torch.version.cuda)
    return ("mps" if torch.backends.mps.is_built() else "cpu"), None


def _accelerators() -> tuple[list[tuple[torch.device, DeviceFacts]], str | None]:
    """Try each accelerator. Returns: (devices, why there is none)."""
    if torch.backends.mps.is_built():
        if not torch.backends.mps.is_available():
            return [], "torch's Metal backend isn't available; it needs macOS 14 or newer"
        place = torch.device("mps")
        return [(place, _tried(place, name="Apple GPU"))], None
    if not torch.version.cuda and not torch.version.hip:
        return [], None
    try:
        torch.cuda.init()
        count = torch.cuda.device_count()
    except Exception as error:  # noqa: BLE001  # torch's own words are what the person needs
        return [], _first_line(error)
    return [(place, _gpu(place)) for place in (torch.device("cuda", index) for index in range(count))], None


def _gpu(place: torch.device) -> DeviceFacts:
    try:
        facts = torch.cuda.get_device_properties(place)
    except Exception as error:  # noqa: BLE001
        return DeviceFacts(
            name=str(place), uuid="", capability=None, fault=_first_line(error), bf16=False, attention=()
        )
    uuid = str(getattr(facts, "uuid", "") or "")
    if uuid and not uuid.startswith(("GPU-", "MIG-")):
        uuid = f"GPU-{uuid}"
    capability = None if torch.version.hip else f"{facts.major}.{facts.minor}"
    return _tried(place, name=str(facts.name), uuid=uuid, capability=capability)


def _tried(place: torch.device, *, name: str, uuid: str = "", capability: str | None = None) -> DeviceFacts:
    """Multiply two small matrices there, and look at the product: a device may be listed and yet be of no use."""
    fault = _multiply(place, torch.float32)
    sound = fault is None
    return DeviceFacts(
        name=name,
        uuid=uuid,
        capability=capability,
        fault=fault,
        bf16=sound and _bf16(place),
        attention=tuple(kernel for kernel in KERNELS if sound and _attends(place, kernel)),
    )


def _multiply(place: torch.device, dtype: torch.dtype) -> str | None:
    """Say what is wrong with a product of matrices on a device; None if it is right."""
    try:
        ones = torch.ones(16, 16, device=place, dtype=dtype)
        total = float((ones @ ones).float().sum().item())
    except Exception as error:  # noqa: BLE001
        return _first_line(error)
    return None if total == 16.0**3 else f"a product of matrices came out wrong ({total:g})"


def _bf16(place: torch.device) -> bool:
    if place.type == "cuda":
        with torch.cuda.device(place):
            if not torch.cuda.is_bf16_supported(including_emulation=False):
                return False
    return _multiply(place, torch.bfloat16) is None


def _attends(place: torch.device, kernel: str) -> bool:
    """Run one kernel of attention forward and backward, in the number format that training would take."""
    dtype = torch.float16 if place.type == "cuda" else torch.float32
    try:
        query = torch.ones(1, 2, 32, 64, device=place, dtype=dtype, requires_grad=True)
        with sdpa_kernel(KERNELS[kernel]):
            answer = scaled_dot_product_attention(query, query, query, is_causal=True)
        answer.sum().backward()
        return bool(torch.isfinite(answer).all().item())
    except Exception:  # noqa: BLE001  # torch raises where a kernel doesn't serve this device
        return False


def _bitsandbytes(place: torch.device) -> BitsAndBytes | None:
    """Pack and unpack a small tensor, which needs the native library, not only the import."""
    installed = _version("bitsandbytes")
    if installed is None:
        return None
    sys.modules.pop("bitsandbytes", None)  # the worker keeps it out where nobody asks for it
    library: str | None = None
    try:
        functional: Any = importlib.import_module("bitsandbytes.functional")
        native = importlib.import_module("bitsandbytes.cextension").lib
        library = Path(str(getattr(getattr(native, "_lib", None), "_name", ""))).name or None
        packed, state = functional.quantize_4bit(torch.ones(64, 64, device=place), quant_type="nf4")
        back = functional.dequantize_4bit(packed, state)
        fault = None if bool((back == 1).all().item()) else "a tensor packed to 4 bit came back changed"
    except Exception as error:  # noqa: BLE001
        fault = _first_line(error)
    return BitsAndBytes(version=installed, library=library, fault=fault)


def _releases() -> dict[str, tuple[int, ...]]:
    """Read torch's own table of its CUDA builds; torch before 2.13 may have none."""
    table = getattr(torch.cuda, "PYTORCH_RELEASES_CODE_CC", {})
    machine = "aarch64" if platform.machine().lower() in {"aarch64", "arm64"} else "x86_64"
    return {cuda: tuple(sorted(kinds.get(machine, ()))) for cuda, kinds in table.items()}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0] or type(error).__name__
