"""AMD's devices, as the kernel's amdgpu and kfd drivers show them in files. Each figure fails alone."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from pegbox_hardware.gpu import Gpu, Holder, Trouble
from pegbox_hardware.sysfs import number_in, sensors_of, text_in
from pegbox_hardware.visible import visible

VENDOR = "0x1002"


@dataclass(frozen=True)
class _Node:
    """One GPU in kfd's topology: what ROCm computes on."""

    number: int
    gpu_id: str
    architecture: str | None


@dataclass(frozen=True)
class AmdFiles:
    """Where the two drivers show themselves; tests give trees of their own."""

    drm: Path = Path("/sys/class/drm")
    kfd: Path = Path("/sys/class/kfd/kfd")
    module: Path = Path("/sys/module/amdgpu")
    names: Path = Path("/usr/share/libdrm/amdgpu.ids")
    door: Path = Path("/dev/kfd")
    """What ROCm opens; without it torch sees none of the cards."""


def amd_gpus(files: AmdFiles | None = None) -> tuple[tuple[Gpu, ...], tuple[Trouble, ...]]:
    """List AMD's cards in ROCm's order, those that HIP_VISIBLE_DEVICES (else CUDA_VISIBLE_DEVICES) leaves.

    Source: https://docs.kernel.org/gpu/amdgpu/driver-misc.html and the kernel's amdkfd topology.
    """
    where = files or AmdFiles()
    gpus = tuple(_gpu(where, index, device, node) for index, (device, node) in enumerate(_devices(where)))
    if not gpus:
        return (), ()
    kept, chosen = visible(gpus, os.environ.get("HIP_VISIBLE_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES")))
    return kept, (*_closed_door(where), *chosen)


def amd_folder(index: int, files: AmdFiles | None = None) -> Path | None:
    """Find the folder in which the kernel tells the figures of a card; None: there is no such card any more."""
    found = _devices(files or AmdFiles())
    return found[index][0] if index < len(found) else None


def _devices(where: AmdFiles) -> list[tuple[Path, _Node | None]]:
    """Find the cards that amdgpu drives, in ROCm's order."""
    nodes = _nodes(where)
    found: list[tuple[int, Path, _Node | None]] = []
    for card in sorted(where.drm.glob("card*"), key=lambda path: (len(path.name), path.name)):
        device = card / "device"
        if not re.fullmatch(r"card\d+", card.name) or text_in(device / "vendor") != VENDOR:
            continue  # a connector such as card0-DP-1, or another maker's
        if number_in(device / "mem_info_vram_total") is None:
            continue  # not driven by amdgpu
        node = nodes.get(_render_minor(device))
        found.append((node.number if node else 1_000 + len(found), device, node))
    return [(device, node) for _, device, node in sorted(found, key=lambda item: item[0])]


def _gpu(where: AmdFiles, index: int, device: Path, node: _Node | None) -> Gpu:
    total, used = number_in(device / "mem_info_vram_total"), number_in(device / "mem_info_vram_used")
    sensors = sensors_of(device)
    heat = number_in(sensors / "temp1_input")
    power = number_in(sensors / "power1_average")
    power = number_in(sensors / "power1_input") if power is None else power
    limit = number_in(sensors / "power1_cap")
    unique = text_in(device / "unique_id")
    return Gpu(
        kind="rocm",
        index=index,
        name=_name(where, device),
        uuid=f"GPU-{unique}" if unique else "",
        memory_total=total,
        memory_free=None if total is None or used is None else max(0, total - used),
        compute_capability=None,
        architecture=node.architecture if node else None,
        driver=text_in(where.module / "version"),
        temperature_c=None if heat is None else round(heat / 1000),
        power_w=None if power is None else power / 1e6,
        power_limit_w=None if limit is None else limit / 1e6,
        holders=_holders(where, node) if node else (),
    )


def _name(where: AmdFiles, device: Path) -> str:
    """Name a card by its own words (server cards have some), else by libdrm's table, else by its number."""
    said = text_in(device / "product_name")
    if said:
        return said
    number, revision = (text_in(device / file) or "" for file in ("device", "revision"))
    wanted = (number.removeprefix("0x").upper(), revision.removeprefix("0x").upper())
    try:
        for line in where.names.read_text(encoding="utf-8", errors="replace").splitlines():
            parts = [part.strip() for part in line.split(",", 2)]
            if len(parts) == 3 and (parts[0].upper(), parts[1].upper()) == wanted:
                return parts[2]
    except OSError:
        pass
    return f"AMD GPU {number}".rstrip()


def _nodes(where: AmdFiles) -> dict[int, _Node]:
    """Read kfd's GPUs by the number of their render device, which the drm driver knows too."""
    found = {}
    for folder in (where.kfd / "topology" / "nodes").glob("*"):
        gpu_id = text_in(folder / "gpu_id")
        words = (text_in(folder / "properties") or "").split()
        facts = {name: int(value) for name, value in zip(words[::2], words[1::2], strict=False) if value.isdecimal()}
        if not folder.name.isdecimal() or gpu_id in {None, "0"} or "drm_render_minor" not in facts:
            continue  # node of a processor
        version = facts.get("gfx_target_version", 0)
        gfx = f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}" if version else None
        found[facts["drm_render_minor"]] = _Node(number=int(folder.name), gpu_id=gpu_id or "", architecture=gfx)
    return found


def _holders(where: AmdFiles, node: _Node) -> tuple[Holder, ...]:
    held = []
    for folder in (where.kfd / "proc").glob("*"):
        memory = number_in(folder / f"vram_{node.gpu_id}")
        if folder.name.isdecimal() and memory:
            held.append(Holder(pid=int(folder.name), name=text_in(Path("/proc") / folder.name / "comm"), memory=memory))
    return tuple(sorted(held, key=lambda holder: -(holder.memory or 0)))


def _closed_door(where: AmdFiles) -> tuple[Trouble, ...]:
    """Tell why torch would see none of the cards that the kernel sees."""
    if not where.door.exists():
        return (
            Trouble(
                about="kfd",
                sentence=f"an AMD card is here, but {where.door} isn't, so ROCm can't use it. Load the driver; in a "
                "container, start it with `--device /dev/kfd --device /dev/dri`.",
                command="sudo modprobe amdgpu",
            ),
        )
    if not os.access(where.door, os.R_OK | os.W_OK):
        return (
            Trouble(
                about="kfd",
                sentence=f"this user may not open {where.door}, so ROCm can't use the AMD card. It takes a new login.",
                command="sudo usermod -a -G render,video $USER",
            ),
        )
    return ()


def _render_minor(device: Path) -> int:
    for path in (device / "drm").glob("renderD*"):
        number = path.name.removeprefix("renderD")
        if number.isdecimal():
            return int(number)
    return -1
