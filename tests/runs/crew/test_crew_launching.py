"""How a run's processes are started: configuration, command, environment, and on which GPUs."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from pegbox_hardware.gpu import Gpu
from pegbox_methods.recipe import Devices
from pegbox_methods.refusal import Refusal
from pegbox_runs.crew.gpus import choose, launch_here
from pegbox_runs.crew.lacking import lacking_devices
from pegbox_runs.crew.launching import Launch, command, config, environment, write_config
from tests.runs.made_up_machines import GIB, gpu, machine


def launch(tmp_path: Path, **changes: object) -> Launch:
    whole: dict[str, object] = {"folder": tmp_path, "attempt": 2, "device": "cuda", "processes": 4, **changes}
    return Launch(**whole)  # type: ignore[arg-type]


def test_gpus_are_served_by_accelerate_from_a_file_that_a_person_can_read(tmp_path: Path) -> None:
    given = launch(tmp_path)
    file = write_config(given)
    assert file == tmp_path / "launch" / "attempt-2.yaml"
    assert file.read_text().startswith("# How worker 2 of this run was started. `accelerate launch` read this.\n")
    assert yaml.safe_load(file.read_text()) == config(given)
    assert config(given)["distributed_type"] == "MULTI_GPU"
    line = command(given)
    assert line[:4] == [sys.executable, "-P", "-m", "accelerate.commands.launch"]
    assert line[4:] == ["--config_file", str(file), "-m", "pegbox_worker", "--rank", str(tmp_path), "2"]


def test_fsdp2_is_asked_for_by_its_version_and_a_consolidated_state(tmp_path: Path) -> None:
    told = config(launch(tmp_path, engine="fsdp2"))
    assert told["distributed_type"] == "FSDP"
    assert (told["fsdp_config"]["fsdp_version"], told["fsdp_config"]["fsdp_state_dict_type"]) == (2, "FULL_STATE_DICT")


def test_a_processor_is_served_by_torchs_own_launcher(tmp_path: Path) -> None:
    line = command(launch(tmp_path, device="cpu", processes=2))
    assert line[3] == "torch.distributed.run"
    assert {"--nnodes=1", "--nproc-per-node=2", "--rdzv-endpoint=localhost:0", "--max-restarts=0"} < set(line)


def test_several_machines_meet_at_the_first_one(tmp_path: Path) -> None:
    of_two = {"nodes": 2, "node_rank": 1, "host": "head", "port": 29500}
    one = launch(tmp_path, **of_two)
    assert (one.here, list(one.local_ranks)) == (2, [2, 3])
    told = config(one)
    assert (told["num_processes"], told["num_machines"], told["machine_rank"]) == (4, 2, 1)
    assert (told["main_process_ip"], told["main_process_port"]) == ("head", 29500)
    line = command(launch(tmp_path, device="cpu", **of_two))
    assert {"--nnodes=2", "--nproc-per-node=2", "--node-rank=1", "--master-addr=head", "--master-port=29500"} < set(
        line
    )
    assert "GLOO_SOCKET_IFNAME" not in environment(one, {})


def test_the_environment_parts_the_cores_and_names_the_gpus(tmp_path: Path) -> None:
    told = environment(launch(tmp_path, processes=1000, gpus=("GPU-1", "GPU-2")), {"PATH": "/bin"})
    assert (told["PATH"], told["PYTHONSAFEPATH"], told["OMP_NUM_THREADS"]) == ("/bin", "1", "1")
    assert told["CUDA_VISIBLE_DEVICES"] == "GPU-1,GPU-2"
    assert environment(launch(tmp_path), {"OMP_NUM_THREADS": "7"})["OMP_NUM_THREADS"] == "7"


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["ddp", "fsdp2"])
def test_accelerate_understands_the_file(tmp_path: Path, engine: str) -> None:
    from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    given = launch(tmp_path, engine=engine, processes=1 if engine == "ddp" else 4)
    file = write_config(given)
    assert isinstance(load_config_from_file(str(file)), ClusterConfig)
    assert set(config(given)) <= {field.name for field in fields(ClusterConfig)}
    args, _, _ = _validate_launch_command(launch_command_parser().parse_args(command(given)[4:]))
    assert (bool(args.multi_gpu), bool(args.use_fsdp)) == (engine == "ddp", engine == "fsdp2")
    assert (args.num_processes, args.mixed_precision) == (given.processes, "no")
    if engine == "fsdp2":
        assert (args.fsdp_version, args.fsdp_auto_wrap_policy) == (2, "TRANSFORMER_BASED_WRAP")
        assert not args.fsdp_cpu_ram_efficient_loading


def cards(*frees: int, **changes: object) -> list[Gpu]:
    return [
        gpu(index=place, uuid=f"GPU-{place}", memory_free=free * GIB, **changes) for place, free in enumerate(frees)
    ]


def test_of_alike_gpus_the_emptiest_are_taken_in_the_drivers_order(tmp_path: Path) -> None:
    given = launch_here(tmp_path, 1, Devices(processes=2), machine=machine(*cards(20, 3, 22)))
    assert (given.device, given.gpus, given.gpus_variable) == ("cuda", ("GPU-0", "GPU-2"), "CUDA_VISIBLE_DEVICES")
    rocm = launch_here(tmp_path, 1, Devices(processes=2), machine=machine(*cards(1, 9, 9, kind="rocm")))
    assert (rocm.gpus, rocm.gpus_variable) == (("1", "2"), "HIP_VISIBLE_DEVICES")
    alone = launch_here(tmp_path, 1, Devices(processes=2), machine=machine())
    assert (alone.device, alone.gpus, alone.engine) == ("cpu", (), "ddp")


def test_gpus_of_several_kinds_never_carry_a_run_together() -> None:
    mixed = [*cards(20, 20), gpu(index=2, name="NVIDIA A100", memory_total=80 * GIB, memory_free=79 * GIB)]
    assert [one.index for one in choose(mixed, 2)] == [0, 1]
    with pytest.raises(Refusal, match=r"has 3 GPUs \(2 x NVIDIA GeForce RTX 4090, 1 x NVIDIA A100\), and processes"):
        choose(mixed, 3)
    slices = [gpu(index=place, slice_of=0) for place in range(2)]
    with pytest.raises(Refusal, match="slices of one card"):
        choose(slices, 2)


@pytest.mark.parametrize(
    ("devices", "nodes", "given", "said"),
    [
        (Devices(processes=3), 1, machine(*cards(20, 20)), "has 2 GPUs, and 3 are asked for; expected at most 2"),
        (Devices(processes=4), 2, machine(gpu()), "has 1 GPU, and 2 are asked for; expected 1"),
        (Devices(processes=3), 2, machine(), "can't be parted among 2 machines"),
        (Devices(processes=17), 1, machine(), "has no GPU, and 16 cores; expected at most one process a core"),
        (
            Devices(processes=2, engine="fsdp2"),
            1,
            machine(),
            "shards the base model among GPUs, and this",
        ),
        (Devices(processes=2), 1, machine(gpu(kind="mps")), "Apple's GPU carries one process"),
    ],
)
def test_what_a_machine_lacks_is_told_before_anything_exists(
    devices: Devices, nodes: int, given: object, said: str
) -> None:
    (fault,) = lacking_devices(devices, given, file="recipe.toml", nodes=nodes)
    assert said in str(fault)


def test_a_run_whose_cards_are_gone_is_not_sharded_on_the_processor(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"devices.engine = 'fsdp2': shards the base model among GPUs"):
        launch_here(tmp_path, 1, Devices(processes=2, engine="fsdp2"), machine=machine())


def test_a_machine_that_has_enough_lacks_nothing() -> None:
    for devices, nodes, given in (
        (Devices(processes=2), 1, machine(*cards(20, 20))),
        (Devices(processes=4), 2, machine(*cards(20, 20))),
        (Devices(processes=16), 1, machine()),
        (Devices(processes=1, engine="ddp"), 1, machine(gpu(slice_of=0))),
    ):
        assert not list(lacking_devices(devices, given, file="recipe.toml", nodes=nodes))
