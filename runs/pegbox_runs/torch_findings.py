"""What torch and its companions make of this machine's devices: pure judgement on facts already read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pegbox_hardware.gpu import Gpu
from pegbox_hardware.machine import Machine
from pegbox_runs.device_names import device_names
from pegbox_runs.finding import Finding
from pegbox_runs.torch_builds import (
    CHOOSER,
    DRIVERS,
    PIP,
    base_version,
    cuda_major,
    driver_too_old,
    fitting_build,
    has_code,
    install_command,
)
from pegbox_runs.torch_facts import DeviceFacts, TorchFacts

BUILDS = {"cpu": "without CUDA (a CPU build)", "mps": "for Apple's chips", "rocm": "for AMD's ROCm", "cuda": "for CUDA"}
NEEDED = ("transformers", "peft", "trl", "accelerate", "datasets")


@dataclass(frozen=True)
class _Verdict:
    """What is the matter with a device; alike devices with the same verdict are told of once."""

    about: str
    fault: str = ""
    """In torch's words, where it is torch-device."""
    facts: DeviceFacts | None = None
    """Without name and UUID, where the device is usable."""


def torch_findings(machine: Machine, torch: TorchFacts | str) -> Iterator[Finding]:
    """Judge what torch sees; a string is the reason why it couldn't be asked."""
    if isinstance(torch, str):
        text = f"torch can't be asked, so nothing can train: {torch}."
        yield Finding(level="red", about="torch", text=text, command=f"{PIP} --force-reinstall torch")
        return
    judged: dict[_Verdict, list[Gpu]] = {}
    for position, gpu in enumerate(machine.gpus):
        judged.setdefault(_verdict(machine, torch, gpu, position), []).append(gpu)
    for verdict, gpus in judged.items():
        yield from _told(machine, torch, verdict, gpus)
    if not machine.gpus:
        yield _no_gpu(machine, torch)
    yield _bitsandbytes(machine, torch)
    for name in NEEDED:
        if torch.libraries.get(name) is None:
            yield Finding(level="red", about=name, text=f"{name} isn't installed.", command=f"{PIP} {name}")


def _verdict(machine: Machine, torch: TorchFacts, gpu: Gpu, position: int) -> _Verdict:
    """Judge one device: does torch compute on it, and if not, why, from the commonest cause to the rarest."""
    if torch.build != gpu.kind:
        return _Verdict("torch-build")
    seen = _seen(machine, torch, gpu, position)
    if seen is not None and seen.fault is None:
        alike = DeviceFacts(name="", uuid="", capability=None, fault=None, bf16=seen.bf16, attention=seen.attention)
        return _Verdict("usable", facts=alike)
    if driver_too_old(torch, gpu):
        return _Verdict("driver-too-old")
    if not has_code(torch, gpu):
        return _Verdict("torch-architecture")
    if seen is None and gpu.slice_of is not None and torch.devices:
        return _Verdict("mig")
    return _Verdict("torch-device", fault=(seen.fault if seen else torch.fault) or "torch doesn't list it")


def _seen(machine: Machine, torch: TorchFacts, gpu: Gpu, position: int) -> DeviceFacts | None:
    """Find the device among torch's by its UUID, else by its place if both count as many."""
    by_uuid = next((facts for facts in torch.devices if facts.uuid and facts.uuid == gpu.uuid), None)
    if by_uuid is not None or len(torch.devices) != len(machine.gpus):
        return by_uuid
    at_place = torch.devices[position]
    return None if at_place.uuid in {each.uuid for each in machine.gpus} - {""} else at_place


def _told(machine: Machine, torch: TorchFacts, verdict: _Verdict, gpus: Sequence[Gpu]) -> Iterator[Finding]:
    names = device_names(gpus, machine.gpus)
    match verdict.about:
        case "usable" if verdict.facts is not None:
            yield from _usable(names, gpus, verdict.facts)
        case "torch-build":
            be, use = ("is", "it") if len(gpus) == 1 else ("are", "them")
            text = (
                f"{names} {be} here, but torch can't use {use}: torch {torch.version} was built {BUILDS[torch.build]}. "
                "Training would run on the processor, many times slower."
            )
            yield _with_build(torch, gpus, text, verdict.about)
        case "driver-too-old":
            yield _with_build(torch, gpus, _old_driver(torch, names, gpus[0]), verdict.about)
        case "torch-architecture":
            kinds = sorted({gpu.architecture or f"compute capability {gpu.compute_capability}" for gpu in gpus})
            text = (
                f"torch {torch.version} has no code for {names} ({', '.join(kinds)}); it was built for "
                f"{' '.join(torch.architectures)}."
            )
            yield _with_build(torch, gpus, text, verdict.about)
        case "mig":
            text = f"{names}: a process sees one MIG slice at a time, the first unless told otherwise."
            command = f"export CUDA_VISIBLE_DEVICES={gpus[0].uuid}"
            yield Finding(level="green", about="mig", text=text, command=command)
        case _:
            text = f"torch {torch.version} can't compute on {names}: {verdict.fault.rstrip('.')}."
            command_or_none = "nvidia-smi" if gpus[0].kind == "cuda" else None
            yield Finding(level="red", about="torch-device", text=text, command=command_or_none)


def _usable(names: str, gpus: Sequence[Gpu], facts: DeviceFacts) -> Iterator[Finding]:
    kernels = f"{', '.join(facts.attention)} attention" if facts.attention else "no attention kernel"
    text = f"torch computes on {names}: {'bfloat16' if facts.bf16 else 'no bfloat16'}, {kernels}."
    yield Finding(level="green", about="torch-device", text=text)
    if not facts.bf16:
        capabilities = sorted({gpu.compute_capability for gpu in gpus if gpu.compute_capability})
        why = f" (compute capability {', '.join(capabilities)})" if capabilities else ""
        text = f"no bfloat16 in the hardware of {names}{why}: training takes float16, which is less forgiving."
        yield Finding(level="yellow", about="bf16", text=text)
    if gpus[0].kind != "mps" and not {"flash", "memory-efficient", "cudnn"} & {*facts.attention}:
        text = f"no fast kernel of attention runs on {names}: long rows take much more memory and time."
        yield Finding(level="yellow", about="attention", text=text)


def _old_driver(torch: TorchFacts, names: str, gpu: Gpu) -> str:
    needed = DRIVERS.get(cuda_major(torch.build_version))
    return (
        f"the driver of {names}{f', {gpu.driver},' if gpu.driver else ''} is too old for this torch: it serves CUDA "
        f"{gpu.cuda} at most, and torch {torch.version} was built for CUDA {torch.build_version}"
        f"{f', which needs driver {needed} or newer' if needed else ''}. Update the driver, or take a torch that fits."
    )


def _with_build(torch: TorchFacts, gpus: Sequence[Gpu], text: str, about: str) -> Finding:
    """Add the command that installs a fitting build of the same torch, or say where to look for one."""
    folder = fitting_build(torch, gpus)
    if folder is not None:
        return Finding(level="red", about=about, text=text, command=install_command(torch, folder))
    if torch.releases and gpus[0].kind == "cuda":
        text += f" No build of torch {base_version(torch)} fits this driver and card; {CHOOSER} lists older ones."
    else:
        text += f" {CHOOSER} names the build for it."
    return Finding(level="red", about=about, text=text)


def _no_gpu(machine: Machine, torch: TorchFacts) -> Finding:
    if torch.devices:
        names = ", ".join(device.name for device in torch.devices)
        text = f"torch lists {names}, which no driver told of."
        return Finding(level="green", about="torch-device", text=text)
    if torch.processor.fault is not None:
        text = f"torch {torch.version} can't even compute on the processor: {torch.processor.fault}."
        return Finding(level="red", about="torch-device", text=text, command=f"{PIP} --force-reinstall torch")
    fast = {"avx512_bf16", "amx_bf16"} & {*machine.cpu_flags}
    with_format = f"bfloat16 ({', '.join(sorted(fast))})" if fast else "float32"
    text = f"no GPU: training runs on the processor, in {with_format}. That suits small models."
    return Finding(level="yellow", about="no-gpu", text=text)


def _bitsandbytes(machine: Machine, torch: TorchFacts) -> Finding:
    """Judge the library that QLoRA stands on; nothing else needs it, so it is never red."""
    found = torch.bitsandbytes
    if found is None:
        text = "bitsandbytes isn't installed: QLoRA and the 8-bit optimizers can't run."
        return Finding(level="yellow", about="bitsandbytes", text=text, command=f"{PIP} bitsandbytes")
    library = f" with {found.library}" if found.library else ""
    if found.fault is not None:
        text = f"bitsandbytes {found.version}{library} doesn't work, so QLoRA can't run: {found.fault.rstrip('.')}."
        return Finding(level="yellow", about="bitsandbytes", text=text, command="python -m bitsandbytes")
    usable = any(device.fault is None for device in torch.devices)
    if usable and any(gpu.kind == "cuda" for gpu in machine.gpus) and "cuda" not in (found.library or "cuda"):
        text = f"bitsandbytes {found.version} found no CUDA library and took {found.library}; QLoRA would crawl."
        return Finding(level="yellow", about="bitsandbytes", text=text, command=f"{PIP} --upgrade bitsandbytes")
    return Finding(level="green", about="bitsandbytes", text=f"bitsandbytes {found.version} packs to 4 bit{library}.")
