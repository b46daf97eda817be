"""Coming together: torch's process group, this process' device and threads, and what really spans them all."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
import torch
import torch.distributed as dist
from transformers import TrainerCallback

from pegbox_methods.events import Event, Joined, Member
from pegbox_methods.recipe import Devices
from pegbox_methods.refusal import Refusal
from pegbox_worker.engine import engine_of
from pegbox_worker.precision import this_device
from pegbox_worker.ranks.group import Group, Together
from pegbox_worker.trainer import MeasuredTrainer

LONGEST_WAIT = timedelta(days=7)
"""For the others, in one call. A base model may load for an hour; who hangs is seen by the crew, which looks at what
each process says of itself, and ends them all."""
THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Company:
    """The processes that came together."""

    group: Group
    device: torch.device
    """Of this process."""
    members: tuple[Member, ...]
    seconds: float
    """From the first one's coming to the last one's."""


def join() -> Company:
    """Wait for the others, whose number and place the launcher left in the environment.

    Accelerate finds the process group made, and takes it; its own would have a timeout of half an hour.
    Raises: Refusal: this machine has no GPU for this process.
    """
    local_rank = int(os.environ["LOCAL_RANK"])
    if torch.cuda.is_available():
        _take_gpu(local_rank)
    device = this_device(local_rank)
    _share_threads(int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    began = time.monotonic()
    dist.init_process_group("gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl", timeout=LONGEST_WAIT)
    group = Together()
    group.wait()
    waited = [seconds for (seconds,) in group.gather([time.monotonic() - began])]
    me = Member(rank=group.rank, host=socket.gethostname(), pid=os.getpid(), device=_named(device))
    members = [msgspec.json.decode(said, type=Member) for said in group.collect(msgspec.json.encode(me))]
    return Company(group, device, tuple(members), max(waited) - min(waited))


def leave() -> None:
    """Part from the others, once all have come to this point."""
    dist.barrier()
    dist.destroy_process_group()


def refuse_other_number(wanted: Devices, group: Group) -> None:
    """See that as many are there as the recipe parts its micro-batches among. Raises: Refusal."""
    if group.processes != wanted.processes:
        raise Refusal(
            f"the recipe has devices.processes = {wanted.processes}, and the launcher started {group.processes}. Start "
            f"{wanted.processes}, or let `pegbox train` start them."
        )


class EngineWatch(TrainerCallback):
    """Asks torch, once the model is wrapped, what really spans the processes, and tells it.

    Accelerate falls back to what it has without a word: to DDP on a processor where FSDP2 was asked for, to a single
    process where its launcher isn't told of several.
    """

    def __init__(
        self,
        wanted: Devices,
        company: Company,
        trainer: Callable[[], MeasuredTrainer | None],
        tell: Callable[[Event], None],
    ) -> None:
        self._wanted, self._company, self._trainer, self._tell = wanted, company, trainer, tell

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Look. Raises: Refusal: it isn't what the recipe asks for."""
        trainer = self._trainer()
        if trainer is None:
            return
        found, spanned = engine_of(trainer), trainer.accelerator.num_processes
        wanted = "ddp" if self._wanted.engine == "auto" else self._wanted.engine
        there = len(self._company.members)
        if there == 1 and found == "single":
            return  # one process has nobody to share with, whatever was named
        if found == "single" or found != wanted or spanned != there:
            raise Refusal(
                f"devices.engine = '{self._wanted.engine}' on {there} processes was asked for, and {_said(found)} on "
                f"{spanned} came of it. Take another engine: nothing else than what the recipe says is trained."
            )
        self._tell(Joined(engine=found, members=self._company.members, seconds=self._company.seconds))


def _said(engine: str) -> str:
    return "a process that trains for itself" if engine == "single" else f"'{engine}'"


def _take_gpu(local_rank: int) -> None:
    """Make the GPU of this process' number its own. Raises: Refusal: there is none."""
    count = torch.cuda.device_count()
    if local_rank >= count:
        raise Refusal(
            f"process {local_rank} of this machine has no GPU: {count} can be seen, and each process takes one. Start "
            "fewer processes here, or look at CUDA_VISIBLE_DEVICES."
        )
    torch.cuda.set_device(local_rank)


def _share_threads(processes_here: int) -> None:
    """Part the cores among this machine's processes, unless the environment says how many threads each takes."""
    if THREADS not in os.environ:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        if processes_here > 1:
            torch.set_num_threads(max(1, cores // processes_here))
        os.environ[THREADS] = str(torch.get_num_threads())  # or Accelerate would set another number


def _named(device: torch.device) -> str:
    return str(device) if device.type == "cpu" else f"{device} ({torch.cuda.get_device_name(device)})"
