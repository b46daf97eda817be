"""What is read from files: AMD's cards, the container's limits, the processor; and Apple's chips, disks, terminals."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from pegbox_hardware import apple, memory
from pegbox_hardware import sysctl as sysctl_module
from pegbox_hardware.amd import AmdFiles, amd_gpus
from pegbox_hardware.apple import apple_gpus
from pegbox_hardware.cgroup import Cgroups
from pegbox_hardware.disk import model_cache, read_disk
from pegbox_hardware.gpu import Holder
from pegbox_hardware.memory import read_memory
from pegbox_hardware.processor import processor, usable_cores
from pegbox_hardware.terminal import read_terminal

GIB = 2**30


def write(root: Path, files: dict[str, object]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")


def amd_tree(root: Path) -> AmdFiles:
    """Make an MI300X on card1, an unnamed Radeon on card2, and an Intel GPU on card0."""
    write(
        root,
        {
            "drm/card0/device/vendor": "0x8086",
            "drm/card1-DP-1/status": "connected",
            "drm/card1/device/vendor": "0x1002",
            "drm/card1/device/product_name": "AMD Instinct MI300X OAM",
            "drm/card1/device/unique_id": "beef01",
            "drm/card1/device/mem_info_vram_total": 192 * GIB,
            "drm/card1/device/mem_info_vram_used": 100 * GIB,
            "drm/card1/device/drm/renderD129/dev": "226:129",
            "drm/card1/device/hwmon/hwmon4/temp1_input": 45_600,
            "drm/card1/device/hwmon/hwmon4/power1_input": 150_000_000,
            "drm/card1/device/hwmon/hwmon4/power1_cap": 750_000_000,
            "drm/card2/device/vendor": "0x1002",
            "drm/card2/device/device": "0x744c",
            "drm/card2/device/revision": "0xc8",
            "drm/card2/device/mem_info_vram_total": 24 * GIB,
            "drm/card2/device/drm/renderD130/dev": "226:130",
            "kfd/topology/nodes/0/gpu_id": 0,
            "kfd/topology/nodes/0/properties": "cpu_cores_count 64\ndrm_render_minor 0",
            "kfd/topology/nodes/1/gpu_id": 51545,
            "kfd/topology/nodes/1/properties": "gfx_target_version 90402\ndrm_render_minor 129",
            "kfd/topology/nodes/2/gpu_id": 777,
            "kfd/topology/nodes/2/properties": "gfx_target_version 90010\ndrm_render_minor 130",
            f"kfd/proc/{os.getpid()}/vram_51545": 99 * GIB,
            f"kfd/proc/{os.getpid()}/vram_777": 0,
            "module/version": "6.10.5",
            "ids": "# a comment\n744C,\tC8,\tAMD Radeon RX 7900 XTX",
            "door": "",
        },
    )
    return AmdFiles(drm=root / "drm", kfd=root / "kfd", module=root / "module", names=root / "ids", door=root / "door")


@pytest.fixture(autouse=True)
def nothing_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "TMUX", "STY", "ZELLIJ"):
        monkeypatch.delenv(name, raising=False)


def test_amds_cards_are_described_by_the_kernels_files(tmp_path: Path) -> None:
    (first, second), troubles = amd_gpus(amd_tree(tmp_path))
    assert (first.kind, first.name, first.architecture, first.uuid, first.driver) == (
        "rocm",
        "AMD Instinct MI300X OAM",
        "gfx942",
        "GPU-beef01",
        "6.10.5",
    )
    assert (first.memory_total, first.memory_free) == (192 * GIB, 92 * GIB)
    assert (first.temperature_c, first.power_w, first.power_limit_w) == (46, 150.0, 750.0)
    own = Path("/proc/self/comm").read_text().strip()
    assert first.holders == (Holder(pid=os.getpid(), name=own, memory=99 * GIB),)
    assert (second.name, second.architecture) == ("AMD Radeon RX 7900 XTX", "gfx90a")
    assert (second.memory_free, second.power_w, second.temperature_c, second.holders) == (None, None, None, ())
    assert troubles == ()


def test_amds_cards_without_rocms_door_are_a_finding(tmp_path: Path) -> None:
    files = amd_tree(tmp_path)
    files.door.unlink()
    gpus, (trouble,) = amd_gpus(files)
    assert len(gpus) == 2
    assert trouble.about == "kfd"


def test_amds_own_variable_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "1")
    assert [gpu.index for gpu in amd_gpus(amd_tree(tmp_path))[0]] == [1]


def test_a_machine_without_amds_cards_is_whole(tmp_path: Path) -> None:
    assert amd_gpus(AmdFiles(drm=tmp_path, kfd=tmp_path)) == ((), ())


def test_apples_gpu_has_the_machines_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert platform.system() == "Darwin" or apple_gpus() == ()
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    done = SimpleNamespace(stdout="Apple M3 Max\n")
    monkeypatch.setattr(sysctl_module.subprocess, "run", lambda command, **_: done)
    (gpu,) = apple_gpus()
    assert (gpu.kind, gpu.name, gpu.unified) == ("mps", "Apple M3 Max", True)
    assert gpu.memory_total == apple.read_memory().total


def cgroups(root: Path, own: str, files: dict[str, object]) -> Cgroups:
    write(root, {"own": own, **{f"mount/{name}": content for name, content in files.items()}})
    return Cgroups(mount=root / "mount", own=root / "own")


def test_the_tightest_limit_of_cgroup_v2_counts_and_file_cache_is_free(tmp_path: Path) -> None:
    found = cgroups(
        tmp_path,
        "0::/user/box",
        {
            "user/box/memory.max": 8 * GIB,
            "user/box/memory.current": 5 * GIB,
            "user/box/memory.stat": f"anon 1\ninactive_file {2 * GIB}\nactive_file 5",
            "user/memory.max": 6 * GIB,
            "user/memory.current": 5 * GIB,
            "memory.max": "max",
            "user/box/cpu.max": "max 100000",
            "user/cpu.max": "150000 100000",
        },
    )
    assert found.memory() == (6 * GIB, GIB)
    assert found.cores() == 1.5
    assert usable_cores(found) <= 2


def test_a_container_sees_its_own_limit_at_the_top_of_the_mount(tmp_path: Path) -> None:
    found = cgroups(tmp_path, "0::/../../the/hosts/path", {"memory.max": 4 * GIB, "memory.current": GIB})
    assert found.memory() == (4 * GIB, 3 * GIB)


def test_cgroup_v1_is_read_too(tmp_path: Path) -> None:
    found = cgroups(
        tmp_path,
        "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n0::/",
        {
            "memory/memory.limit_in_bytes": 3 * GIB,
            "memory/memory.usage_in_bytes": 2 * GIB,
            "memory/memory.stat": f"inactive_file 7\ntotal_inactive_file {GIB}",
            "cpu/cpu.cfs_quota_us": 50_000,
            "cpu/cpu.cfs_period_us": 100_000,
        },
    )
    assert found.memory() == (3 * GIB, 2 * GIB)
    assert found.cores() == 0.5
    assert usable_cores(found) == 1


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"memory/memory.limit_in_bytes": 9223372036854771712, "cpu/cpu.cfs_quota_us": -1, "cpu/cpu.cfs_period_us": 9},
        {"memory/memory.limit_in_bytes": "nonsense", "cpu/cpu.cfs_quota_us": "", "cpu/cpu.cfs_period_us": 0},
    ],
)
def test_no_limit_is_none(tmp_path: Path, files: dict[str, object]) -> None:
    found = cgroups(tmp_path, "4:memory:/\n1:cpu:/", files)
    assert found.memory() == (None, None)
    assert found.cores() is None
    assert Cgroups(mount=tmp_path / "nowhere", own=tmp_path / "nothing").memory() == (None, None)


def test_ram_is_the_smaller_of_host_and_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = SimpleNamespace(total=64 * GIB, available=50 * GIB)
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: host)
    small = cgroups(tmp_path, "0::/", {"memory.max": 16 * GIB, "memory.current": 4 * GIB})
    ram = read_memory(small)
    assert (ram.total, ram.available, ram.limit, ram.host_total) == (16 * GIB, 12 * GIB, 16 * GIB, 64 * GIB)
    large = cgroups(tmp_path, "0::/", {"memory.max": 100 * GIB, "memory.current": 4 * GIB})
    ram = read_memory(large)
    assert (ram.total, ram.available, ram.limit) == (64 * GIB, 50 * GIB, None)


def test_the_processors_matrix_instructions_are_read(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: A CPU\nflags\t\t: fpu avx2 avx512f avx512_bf16\n\nprocessor: 1\n")
    assert processor(cpuinfo) == ("A CPU", ("avx2", "avx512f", "avx512_bf16"))
    cpuinfo.write_text("processor\t: 0\nFeatures\t: fp asimd bf16 i8mm sve\nCPU part\t: 0xd4f\n")
    assert processor(cpuinfo)[1] == ("asimd", "sve", "i8mm", "bf16")
    assert processor(tmp_path / "nowhere")[1] == ()


def test_a_disk_is_found_before_its_folder_is_made(tmp_path: Path) -> None:
    disk = read_disk("runs", tmp_path / "not" / "yet")
    assert disk.path == str(tmp_path / "not" / "yet")
    assert disk.free
    assert disk.writable
    (tmp_path / "file").write_text("")
    assert not read_disk("runs", tmp_path / "file" / "below").writable


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}, "/a"),
        ({"HF_HOME": "/b"}, "/b/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ({"HOME": "/d"}, "/d/.cache/huggingface/hub"),
        ({"HF_HOME": "~/e", "HOME": "/d"}, "/d/e/hub"),
    ],
)
def test_the_model_cache_lies_where_the_hubs_library_keeps_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert model_cache() == Path(expected)


def test_the_terminal_is_described_by_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(psutil.Process, "parents", lambda _: [])
    monkeypatch.setenv("TERM", "xterm-kitty")
    monkeypatch.setenv("COLORTERM", "truecolor")
    plain = read_terminal()
    assert (plain.term, plain.colors, plain.ssh, plain.multiplexer) == ("xterm-kitty", "truecolor", False, None)
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 1 10.0.0.2 22")
    monkeypatch.setenv("STY", "1.pts")
    assert (read_terminal().ssh, read_terminal().multiplexer) == (True, "screen")
    monkeypatch.setenv("TMUX", "/tmp/tmux,1,0")
    assert read_terminal().multiplexer == "tmux"


def test_ssh_is_seen_among_the_parents_where_sudo_dropped_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(psutil.Process, "parents", lambda _: [SimpleNamespace(name=lambda: "sshd-session")])
    assert read_terminal().ssh
