"""How a run's processes are started: the launcher's configuration, saved where a person can read it, and its command.

On GPUs by `accelerate launch`. On a processor by `torch.distributed.run`, which Accelerate calls too: its own launcher
silently starts one process there, however many are asked for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from pegbox_hardware.machine import usable_cores
from pegbox_runs.run_folder import RunFolder

LAUNCH = "launch"
"""Folder in a run's folder: a configuration for each worker of the run."""
WORKER = ("-m", "pegbox_worker", "--rank")
SECONDS_TO_COME = 300
"""How long torch waits for the launchers of all machines."""
THREADS = "OMP_NUM_THREADS"


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """One start of a run's processes on this machine."""

    folder: Path
    """The run's, or that of this machine's part in it."""
    attempt: int
    """Which worker of the run they are, as `Started.attempt`."""
    device: Literal["cpu", "cuda"]
    """As torch names it: AMD's GPUs are `cuda` too."""
    processes: int
    """On all machines together."""
    engine: Literal["ddp", "fsdp2"] = "ddp"
    nodes: int = 1
    node_rank: int = 0
    host: str | None = None
    """Where the first machine listens; None: there is one machine."""
    port: int = 0
    """0: any that is free."""
    interface: str | None = None
    """Network interface that leads to the other machines; None: there is none, or the libraries choose."""
    gpus: tuple[str, ...] = ()
    """What the processes here shall see, as CUDA_VISIBLE_DEVICES or its like takes it; empty: all."""
    gpus_variable: str = "CUDA_VISIBLE_DEVICES"

    @property
    def here(self) -> int:
        """How many processes this machine carries."""
        return self.processes // self.nodes

    @property
    def local_ranks(self) -> range:
        """Their numbers among all."""
        return range(self.node_rank * self.here, (self.node_rank + 1) * self.here)

    @property
    def file(self) -> Path:
        """Where the configuration lies."""
        return RunFolder(self.folder).path / LAUNCH / f"attempt-{self.attempt}.yaml"


def config(launch: Launch) -> dict[str, Any]:
    """Give what `accelerate launch --config_file` reads.

    Source: accelerate.commands.config.config_args.ClusterConfig; TRL's accelerate_configs/multi_gpu.yaml, fsdp2.yaml.
    """
    kind = "FSDP" if launch.engine == "fsdp2" else "MULTI_CPU" if launch.device == "cpu" else "MULTI_GPU"
    told: dict[str, Any] = {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": kind,
        "num_processes": launch.processes,
        "num_machines": launch.nodes,
        "machine_rank": launch.node_rank,
        "main_process_port": launch.port,
        "same_network": True,
        "rdzv_backend": "static",
        "mixed_precision": "no",  # the run's own number format is the trainer's to set
        "use_cpu": launch.device == "cpu",
        "debug": False,
    }
    if launch.host is not None:
        told["main_process_ip"] = launch.host
    if launch.engine == "fsdp2":
        told["fsdp_config"] = {
            "fsdp_version": 2,
            "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "fsdp_reshard_after_forward": True,
            "fsdp_offload_params": False,
            "fsdp_cpu_ram_efficient_loading": False,  # a 4-bit base can't be sent as one process loaded it
            "fsdp_activation_checkpointing": False,  # the trainer's, which knows the method
            "fsdp_state_dict_type": "FULL_STATE_DICT",
        }
    return told


def write_config(launch: Launch) -> Path:
    """Write it for people and for the launcher. Raises: OSError."""
    launch.file.parent.mkdir(mode=0o700, exist_ok=True)
    how = (
        "`accelerate launch` read this."
        if launch.device == "cuda"
        else "`python -m torch.distributed.run` was given the same as options: on a processor Accelerate's launcher "
        "starts one process."
    )
    head = f"# How worker {launch.attempt} of this run was started. {how}\n"
    launch.file.write_text(head + yaml.safe_dump(config(launch), sort_keys=False), encoding="utf-8")
    return launch.file


def command(launch: Launch) -> list[str]:
    """Give the launcher's command line."""
    ranks = [*WORKER, str(launch.folder), str(launch.attempt)]
    if launch.device == "cuda":
        several = [f"--rdzv_conf=timeout={SECONDS_TO_COME}"] if launch.nodes > 1 else []
        options = ["--config_file", str(launch.file), *several]
        return [sys.executable, "-P", "-m", "accelerate.commands.launch", *options, *ranks]
    where = (
        ["--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", "--local-addr=localhost"]
        if launch.host is None
        else [
            *("--rdzv-backend=static", f"--master-addr={launch.host}", f"--master-port={launch.port}"),
            *(f"--node-rank={launch.node_rank}", f"--rdzv-conf=timeout={SECONDS_TO_COME}"),
        ]
    )
    counts = [f"--nnodes={launch.nodes}", f"--nproc-per-node={launch.here}", "--max-restarts=0"]
    return [sys.executable, "-P", "-m", "torch.distributed.run", *counts, *where, *ranks]


def environment(launch: Launch, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give the processes' environment variables. `given`: those to begin with; None: this process' own."""
    found = {**(os.environ if given is None else given), "PYTHONSAFEPATH": "1"}
    if THREADS not in found:  # or torch's launcher would set 1
        found[THREADS] = str(max(1, usable_cores() // launch.here))
    if launch.gpus:
        found[launch.gpus_variable] = ",".join(launch.gpus)
    # gloo would look the machine's own name up, which may lead nowhere, or to 127.0.1.1.
    alone = "lo" if launch.nodes == 1 and sys.platform.startswith("linux") else None
    if (interface := launch.interface or alone) is not None:
        found.setdefault("GLOO_SOCKET_IFNAME", interface)
    if launch.interface is not None:
        found.setdefault("NCCL_SOCKET_IFNAME", launch.interface)
    return found
