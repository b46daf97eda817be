"""What went wrong, in a sentence a person can act on, and of which kind it was, for whoever may start the run again."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch

from pegbox_methods.life_events import Trouble, WorkerFailed
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import BrokenPromise
from pegbox_runs.checkpoints import Unfit
from pegbox_runs.printable import one_line
from pegbox_runs.supervision.policy import LESS_MEMORY
from pegbox_worker.checkpoint import LacksWeights
from pegbox_worker.out_of_memory import OutOfMemoryAt, device_ran_out, machine_ran_out


class Diverged(Exception):
    """A loss that is no number any more. Going on would only cost time: no later step mends the weights."""


class SentinelFailed(Exception):
    """The run doesn't do what it says. Begun again, it wouldn't either."""


MOST_CHARACTERS = 400
"""Of what a library says; the rest is in worker.log."""

LESS_HOST_MEMORY = f"Close what else runs on this machine, or give the run less to hold. {LESS_MEMORY}"
FULL_DISK = ("no space left on device", "disk quota exceeded", "storagefull", "file too large", "filesystemquota")
"""What safetensors, pyarrow and the C library say where the exception carries no number."""
READ_ONLY = ("read-only file system", "readonlyfilesystem")
ROOM_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LOST_DEVICE = (
    "gpu is lost",
    "fallen off the bus",
    "device-side assert",
    "unspecified launch failure",
    "illegal memory access",
    "misaligned address",
    "illegal instruction",
    "launch timed out",
    "hardware stack error",
    "ecc error",
    "nvlink error",
    "no cuda-capable device",
    "no rocm-capable device",
    "cuda-capable device(s) is/are busy or unavailable",
    "no cuda gpus are available",
    "no hip gpus are available",
    "found no nvidia driver",
    "cuda unknown error",
    "driver shutting down",
    "memory access fault by gpu",
    "gpu hang",
)
"""After any of these the process can't use the device again, and often the card needs a look.

Source: cudaGetErrorString in CUDA's runtime API, hipGetErrorString in ROCm's, NVML's NVML_ERROR_GPU_IS_LOST; torch's
own words in torch/cuda/__init__.py.
"""


class Known(NamedTuple):
    """A kind of trouble: how it is recognised, what is said of it, and what to do."""

    kind: Trouble
    is_it: Callable[[BaseException], bool]
    say: Callable[[BaseException], str]
    remedy: str


def explain(error: BaseException, where: str, doing: str = "", step: int = 0) -> WorkerFailed:
    """Turn the exception that ended a worker into what it tells last. The traceback is in worker.log.

    `doing`: the work in hand; `step`: steps that were done. Libraries wrap what they caught, so an exception that says
    nothing by itself is judged by what it was raised from.
    """
    for cause in _causes(error):
        if isinstance(cause, OutOfMemoryAt):
            where, doing = cause.where, cause.doing
            continue
        for known in KNOWN:
            if known.is_it(cause):
                return WorkerFailed(
                    kind=known.kind, what=known.say(cause), where=where, remedy=known.remedy, doing=doing, step=step
                )
    return WorkerFailed(
        kind="error",
        what=_named(error),
        where=where,
        remedy="The end of worker.log in the run's folder has the whole traceback.",
        doing=doing,
        step=step,
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__


def _is_refused(error: BaseException) -> bool:
    return isinstance(error, Refusal | LacksWeights)


def _is_diverged(error: BaseException) -> bool:
    return isinstance(error, Diverged)


def _is_inspection(error: BaseException) -> bool:
    return isinstance(error, SentinelFailed | BrokenPromise)


def _is_disk(error: BaseException) -> bool:
    """Tell whether a file couldn't be written for want of room; libraries say so in plain exceptions too."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in ROOM_ERRORS
    return _says(error, FULL_DISK)


def _is_read_only(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.EROFS
    return _says(error, READ_ONLY)


def _is_lost_device(error: BaseException) -> bool:
    if isinstance(error, torch.AcceleratorError):
        return True
    return isinstance(error, RuntimeError | AssertionError) and _says(error, LOST_DEVICE)


def _is_file(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno is not None


def _says(error: BaseException, words: tuple[str, ...]) -> bool:
    said = str(error).lower()
    return any(word in said for word in words)


def _sentence(error: BaseException) -> str:
    return error.sentence if isinstance(error, Refusal) else _short(str(error))


def _named(error: BaseException) -> str:
    return _short(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def _short(text: str) -> str:
    return one_line(text, MOST_CHARACTERS)


KNOWN = (
    Known("refused", _is_refused, _sentence, "Change the recipe and train again."),
    Known(
        "refused",
        lambda error: isinstance(error, Unfit),
        _sentence,
        "Continue the run on a machine and with settings as it was begun with, or start it anew.",
    ),
    Known(
        "diverged",
        _is_diverged,
        _sentence,
        "Lower training.learning_rate, or compute in 'bfloat16' or 'float32' where it was 'float16'.",
    ),
    Known(
        "inspection",
        _is_inspection,
        _sentence,
        "Begun again it would do the same: mend what the sentence names, or take another method or another setting.",
    ),
    Known("device-memory", device_ran_out, lambda _: "the device ran out of memory", LESS_MEMORY),
    Known("host-memory", machine_ran_out, lambda _: "the machine ran out of memory", LESS_HOST_MEMORY),
    Known(
        "disk",
        _is_disk,
        lambda error: f"there is no room left to write in: {_short(str(error))}",
        "Free some disk space, or raise the quota, and continue the run: it goes on from its last checkpoint.",
    ),
    Known(
        "disk",
        _is_read_only,
        lambda error: f"the place of the run can't be written any more: {_short(str(error))}",
        "Make it writable again (a disk with errors is often set read-only), and continue the run.",
    ),
    Known(
        "device-lost",
        _is_lost_device,
        lambda error: f"the device can't be used any more: {_short(str(error))}",
        "Look at the card (nvidia-smi, rocm-smi, or Xid in the kernel's log), and continue the run once it is back.",
    ),
    Known(
        "error",
        _is_file,
        lambda error: f"a file could not be read or written: {_short(str(error))}",
        "Check that it is there and may be read and written, and continue the run.",
    ),
)
"""The first that fits. A refusal's own sentence is whole; what libraries say is cut to a line."""
