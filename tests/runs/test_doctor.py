"""What the doctor says of machines that nobody has here."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pegbox_hardware.gpu import Gpu, Holder, Trouble
from pegbox_hardware.machine import Machine
from pegbox_runs.doctor import findings
from pegbox_runs.finding import Finding
from pegbox_runs.torch_facts import BitsAndBytes, TorchFacts
from tests.runs.made_up_machines import GIB, cpu_torch, device, disk, gpu, machine, torch

INDEX = "--index-url https://download.pytorch.org/whl"


def found(about: str, machine: Machine, facts: TorchFacts | str) -> Finding:
    """Give the one finding about something."""
    (finding,) = (finding for finding in findings(machine, facts) if finding.about == about)
    return finding


def test_a_machine_with_nothing_wrong_is_all_green() -> None:
    told = findings(machine(gpu()), torch(device()))
    assert {finding.level for finding in told} == {"green"}
    assert found("torch-device", machine(gpu()), torch(device())).text == (
        "torch computes on NVIDIA GeForce RTX 4090: bfloat16, flash, memory-efficient, math attention."
    )


def test_what_is_worst_comes_first() -> None:
    sick = machine(gpu(memory_free=GIB // 2), memory_available=GIB)
    levels = [finding.level for finding in findings(sick, torch(device()))]
    assert levels == sorted(levels, key=("red", "yellow", "green").index)
    assert levels[:2] == ["red", "yellow"]


@pytest.mark.parametrize(
    ("card", "folder"),
    [
        ({}, "cu130"),
        ({"cuda": "13.2"}, "cu132"),
        ({"cuda": "12.9"}, "cu129"),
        ({"cuda": "12.2", "driver": "535.54"}, "cu126"),
        ({"cuda": "12.8", "compute_capability": "12.0"}, "cu129"),
        ({"cuda": "13.0", "compute_capability": "6.1"}, "cu126"),
        ({"cuda": None}, "cu132"),
    ],
)
def test_a_cpu_build_beside_a_gpu_names_the_build_that_fits(card: dict[str, Any], folder: str) -> None:
    finding = found("torch-build", machine(gpu(**card)), cpu_torch())
    assert finding.level == "red"
    assert "was built without CUDA (a CPU build)" in finding.text
    assert finding.command == f"python -m pip install --force-reinstall torch==2.13.0 {INDEX}/{folder}"


def test_where_no_build_fits_no_command_is_made_up() -> None:
    for card in ({"cuda": "11.4"}, {"compute_capability": "3.7"}):
        finding = found("torch-build", machine(gpu(**card)), cpu_torch())
        assert finding.command is None
        assert "No build of torch 2.13.0 fits this driver and card" in finding.text
    finding = found("torch-build", machine(gpu()), cpu_torch(releases={}))
    assert finding.command is None
    assert "https://pytorch.org/get-started/locally names the build" in finding.text


def test_a_driver_too_old_for_this_torch_says_which_would_do() -> None:
    old = machine(gpu(cuda="12.4", driver="550.54"))
    finding = found("driver-too-old", old, torch(fault="The NVIDIA driver on your system is too old"))
    assert finding.level == "red"
    assert "the driver of NVIDIA GeForce RTX 4090, 550.54, is too old" in finding.text
    assert "needs driver 580 or newer" in finding.text
    assert finding.command == f"python -m pip install --force-reinstall torch==2.13.0 {INDEX}/cu126"


def test_an_older_minor_version_of_cuda_is_no_fault_where_torch_computes() -> None:
    facts = torch(device(), build_version="12.9", version="2.13.0+cu129")
    assert found("torch-device", machine(gpu(cuda="12.2")), facts).level == "green"


def test_a_card_that_this_torch_has_no_code_for_gets_the_build_that_has() -> None:
    old_card = gpu(name="Tesla P100", compute_capability="6.0")
    facts = torch(device(name="Tesla P100", capability="6.0", fault="no kernel image is available"))
    finding = found("torch-architecture", machine(old_card), facts)
    assert "no code for Tesla P100 (compute capability 6.0)" in finding.text
    assert finding.command is not None
    assert finding.command.endswith("/cu126")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (torch(device(fault="CUDA out of memory.")), "CUDA out of memory."),
        (torch(fault="CUDA unknown error"), "CUDA unknown error"),
        (torch(), "torch doesn't list it"),
    ],
)
def test_any_other_reason_is_told_in_torchs_words(facts: TorchFacts, reason: str) -> None:
    finding = found("torch-device", machine(gpu()), facts)
    assert finding.level == "red"
    assert reason in finding.text


def test_unlike_cards_are_told_apart_by_uuid_whatever_torchs_order() -> None:
    old = gpu(index=0, name="Tesla T4", uuid="GPU-t4", compute_capability="7.5")
    facts = torch(device(), device(name="Tesla T4", uuid="GPU-t4", capability="7.5", bf16=False, fault=None))
    told = findings(machine(old, gpu(index=1)), facts)
    assert [finding.text.split(":")[0] for finding in told if finding.about == "torch-device"] == [
        "torch computes on GPU 0 (Tesla T4)",
        "torch computes on GPU 1 (NVIDIA GeForce RTX 4090)",
    ]
    assert "no bfloat16 in the hardware of Tesla T4 (compute capability 7.5)" in found("bf16", machine(old), facts).text


def test_eight_alike_cards_are_told_of_together() -> None:
    eight = [gpu(index=n, uuid=f"GPU-{n}", name="NVIDIA H100", compute_capability="9.0") for n in range(8)]
    finding = found("torch-build", machine(*eight), cpu_torch())
    assert finding.text.startswith("GPU 0, 1, 2, 3, 4, 5, 6, 7 (NVIDIA H100) are here, but torch can't use them: ")
    facts = torch(*(device(uuid=f"GPU-{n}") for n in range(8)))
    assert "GPU 0, 1, 2, 3, 4, 5, 6, 7 (NVIDIA H100)" in found("torch-device", machine(*eight), facts).text
    eight[3] = msgspec.structs.replace(eight[3], memory_free=10 * GIB)
    texts = [finding.text for finding in findings(machine(*eight), facts) if finding.about == "gpu-memory"]
    assert texts[0].startswith("GPU 3 (NVIDIA H100): only 10.0 GiB of 24.0 GiB are free; ")
    assert texts[1:] == ["GPU 0, 1, 2, 4, 5, 6, 7 (NVIDIA H100): their memory is free."]


def test_the_build_for_unlike_cards_has_code_for_each() -> None:
    mixed = machine(gpu(), gpu(index=1, name="Tesla P100", uuid="GPU-p", compute_capability="6.0"))
    finding = found("torch-build", mixed, cpu_torch())
    assert "GPU 0 (NVIDIA GeForce RTX 4090) and GPU 1 (Tesla P100) are here" in finding.text
    assert finding.command is not None
    assert finding.command.endswith("/cu126")


def test_slices_that_torch_does_not_list_are_to_be_taken_one_at_a_time() -> None:
    one, two = (gpu(index=i, uuid=f"MIG-{i}", name="A100 MIG 3g.20gb", slice_of=0) for i in range(2))
    facts = torch(device(uuid="MIG-0", name="A100 MIG 3g.20gb"))
    finding = found("mig", machine(one, two), facts)
    assert (finding.level, finding.command) == ("green", "export CUDA_VISIBLE_DEVICES=MIG-1")


def test_amds_and_apples_devices_want_their_own_builds() -> None:
    amd = gpu(kind="rocm", name="AMD Instinct MI300X", compute_capability=None, architecture="gfx942", cuda=None)
    finding = found("torch-build", machine(amd), torch())
    assert finding.command == f"python -m pip install --force-reinstall torch==2.13.0 {INDEX}/rocm7.2"
    rocm = torch(device(fault="no code"), build="rocm", build_version="7.2", architectures=("gfx90a:xnack-", "gfx1100"))
    assert "no code for AMD Instinct MI300X (gfx942)" in found("torch-architecture", machine(amd), rocm).text
    apple = gpu(kind="mps", name="Apple M3 Max", compute_capability=None, cuda=None, driver=None, unified=True)
    metal = torch(device(name="Apple GPU", uuid="", attention=("math",)), build="mps", build_version=None)
    assert {finding.level for finding in findings(machine(apple), metal)} == {"green"}


def test_a_machine_without_a_gpu_trains_on_the_processor() -> None:
    finding = found("no-gpu", machine(), cpu_torch())
    assert finding.level == "yellow"
    assert "in bfloat16 (avx512_bf16)" in finding.text
    assert "in float32" in found("no-gpu", machine(cpu_flags=("avx2",)), cpu_torch()).text
    broken = cpu_torch(processor=device(fault="Illegal instruction"))
    assert found("torch-device", machine(), broken).level == "red"


def test_a_torch_that_cannot_be_asked_is_red_with_its_reason() -> None:
    finding = found("torch", machine(), "ModuleNotFoundError: No module named 'torch'")
    assert finding.level == "red"
    assert "No module named 'torch'" in finding.text
    assert finding.command == "python -m pip install --force-reinstall torch"


@pytest.mark.parametrize(
    ("changes", "level", "said"),
    [
        ({"memory_free": 20 * GIB}, "green", "20.0 GiB of 24.0 GiB are free"),
        (
            {"memory_free": 12 * GIB, "holders": (Holder(pid=42, name="python3.11", memory=9 * GIB),)},
            "yellow",
            "only 12.0 GiB of 24.0 GiB are free; python3.11 (pid 42) holds 9.0 GiB.",
        ),
        (
            {"memory_free": 12 * GIB, "holders": (Holder(pid=7, name=None, memory=None),) * 5},
            "yellow",
            "a process of another container or user (pid 7), a process of another container or user (pid 7), "
            "a process of another container or user (pid 7), and 2 more.",
        ),
        ({"memory_free": 12 * GIB}, "yellow", "who holds the rest can't be seen from here"),
        ({"memory_free": GIB // 2}, "red", "only 0.5 GiB of 24.0 GiB are free"),
        ({"memory_free": None}, "yellow", "doesn't tell how much memory of NVIDIA GeForce RTX 4090 is free"),
    ],
)
def test_a_devices_memory_is_judged_by_what_is_free(changes: dict[str, Any], level: str, said: str) -> None:
    finding = found("gpu-memory", machine(gpu(**changes)), torch(device()))
    assert finding.level == level
    assert said in finding.text


def test_shared_memory_is_judged_once_as_ram() -> None:
    spark = gpu(name="NVIDIA GB10", unified=True, memory_total=120 * GIB, memory_free=10 * GIB)
    assert not [finding for finding in findings(machine(spark), torch(device())) if finding.about == "gpu-memory"]


def test_the_containers_limit_and_little_ram_are_told() -> None:
    small = machine(memory_total=16 * GIB, memory_limit=16 * GIB, memory_available=GIB)
    limit = found("memory-limit", small, cpu_torch())
    assert limit.level == "yellow"
    assert "16.0 GiB of the host's 64.0 GiB" in limit.text
    assert found("memory", small, cpu_torch()).level == "yellow"


@pytest.mark.parametrize(
    ("changes", "level", "command"),
    [
        ({"what": "runs", "free": GIB // 2}, "red", "export PEGBOX_HOME=/path/with/room"),
        ({"what": "runs", "free": 3 * GIB}, "yellow", "export PEGBOX_HOME=/path/with/room"),
        ({"what": "runs", "writable": False}, "red", "export PEGBOX_HOME=/path/with/room"),
        ({"what": "models", "free": 15 * GIB}, "yellow", "export HF_HOME=/path/with/room"),
        ({"what": "models", "writable": False}, "yellow", "export HF_HOME=/path/with/room"),
        ({"what": "models", "free": None}, "yellow", None),
        ({"what": "models"}, "green", None),
    ],
)
def test_room_and_rights_on_disks(changes: dict[str, Any], level: str, command: str | None) -> None:
    finding = found("disk", machine(disks=(disk(**changes),)), cpu_torch())
    assert (finding.level, finding.command) == (level, command)


def test_a_run_survives_a_dropped_line_so_ssh_without_tmux_is_green() -> None:
    here = machine().terminal
    assert here is not None
    bare = machine(terminal=msgspec.structs.replace(here, ssh=True))
    assert found("ssh", bare, cpu_torch()).level == "green"
    inside = machine(terminal=msgspec.structs.replace(here, ssh=True, multiplexer="tmux"))
    assert not [finding for finding in findings(inside, cpu_torch()) if finding.about == "ssh"]


@pytest.mark.parametrize("changes", [{"columns": 60}, {"lines": 20}, {"term": "dumb"}, {"term": None}])
def test_a_terminal_too_poor_for_the_screens_is_worth_a_look(changes: dict[str, Any]) -> None:
    here = machine().terminal
    assert here is not None
    poor = machine(terminal=msgspec.structs.replace(here, **changes))
    assert found("terminal", poor, cpu_torch()).level == "yellow"
    piped = machine(terminal=msgspec.structs.replace(here, **{**changes, "columns": None, "lines": None}))
    assert not [finding for finding in findings(piped, cpu_torch()) if finding.about == "terminal"]


@pytest.mark.parametrize(
    ("found_library", "level", "said"),
    [
        (None, "yellow", "isn't installed"),
        (BitsAndBytes(version="0.50.2", library=None, fault="undefined symbol"), "yellow", "undefined symbol"),
        (BitsAndBytes(version="0.50.2", library="libbitsandbytes_cpu.so", fault=None), "yellow", "no CUDA library"),
        (BitsAndBytes(version="0.50.2", library="libbitsandbytes_cuda130.so", fault=None), "green", "packs to 4 bit"),
    ],
)
def test_bitsandbytes_is_judged_by_what_it_did(found_library: BitsAndBytes | None, level: str, said: str) -> None:
    finding = found("bitsandbytes", machine(gpu()), torch(device(), bitsandbytes=found_library))
    assert finding.level == level
    assert said in finding.text


def test_a_missing_companion_is_red_with_the_command_that_brings_it() -> None:
    facts = torch(device(), libraries={**torch().libraries, "trl": None})
    assert found("trl", machine(gpu()), facts).command == "python -m pip install trl"


@pytest.mark.parametrize(
    ("about", "level"), [("nvidia-driver", "red"), ("gpu-lost", "red"), ("cuda-visible-devices", "yellow")]
)
def test_the_machines_troubles_are_found_with_their_commands(about: str, level: str) -> None:
    trouble = Trouble(about=about, sentence="something is wrong.", command="mend it")
    finding = found(about, machine(troubles=(trouble,)), cpu_torch())
    assert (finding.level, finding.text, finding.command) == (level, "something is wrong.", "mend it")


def test_a_hidden_gpu_is_not_taken_for_a_broken_torch() -> None:
    gpus: tuple[Gpu, ...] = ()
    told = findings(machine(*gpus), torch(fault="No CUDA GPUs are available"))
    assert not [finding for finding in told if finding.level == "red"]
