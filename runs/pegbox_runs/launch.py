"""Starting runs where a dropped connection can't hurt them."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self, cast

import msgspec

from pegbox_methods.home import home
from pegbox_methods.refusal import Refusal
from pegbox_runs.run_folder import RunFolder, discard
from pegbox_runs.supervision.intake import Receipt
from pegbox_runs.supervision.owner import Ownership
from pegbox_runs.supervision.starting import start_supervisor, supervisor_command

if TYPE_CHECKING:
    from pegbox_hardware.gpu import Gpu

ANSWER_SECONDS = 20.0


class WarmSupervisor:
    """A supervisor whose worker imports its libraries while the person is still choosing.

    Both end by themselves if this process ends or closes without handing a run over.
    """

    def __init__(self, command: Sequence[str] = (), *, gpu: str | None = None) -> None:
        """Start it. `gpu`: what CUDA_VISIBLE_DEVICES shall name for its runs; None: as it is here."""
        command = command or supervisor_command()
        self._process = start_supervisor(command, receipts=subprocess.PIPE, gpu=gpu)

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return self._process.pid

    @property
    def waits(self) -> bool:
        """Whether it lives and can be given runs; once it was given some, or closed, it can't."""
        pipe = self._process.stdin
        return pipe is not None and not pipe.closed and self._process.poll() is None

    def take(self, folders: Sequence[RunFolder]) -> None:
        """Hand runs over, to be carried one after the other, and wait until the supervisor has taken each.

        Raises: Refusal: it didn't. No run was started; folders of runs that never began are removed.
        """
        new = [folder for folder in folders if not _has_begun(folder)]
        try:
            with cast(IO[bytes], self._process.stdin) as pipe:
                pipe.write(b"".join(os.fsencode(folder.path.absolute()) + b"\n" for folder in folders))
            self._await_receipts(len(folders))
        except BaseException as error:  # Ctrl-C too: a run that nobody carries must not stay in the list
            self._kill()
            for folder in new:
                _discard_unowned(folder)
            if isinstance(error, OSError):
                raise Refusal(f"the supervisor ended before it took the run: {error}.") from error
            raise

    def _await_receipts(self, count: int) -> None:
        pipe = cast(IO[bytes], self._process.stdout).fileno()
        deadline = time.monotonic() + ANSWER_SECONDS
        lines = b""
        while lines.count(b"\n") < count:
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            block = os.read(pipe, 2**16) if ready else b""
            if not block:
                raise Refusal(
                    "the supervisor didn't take the run, and nothing was started. Try again; if it stays so, "
                    "`pegbox doctor` may say why."
                )
            lines += block
            for line in lines.splitlines(keepends=True):
                if line.endswith(b"\n"):
                    _refuse_as(msgspec.json.decode(line, type=Receipt))

    def _kill(self) -> None:
        """End the supervisor and its workers: the whole of its session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """Let a supervisor that got no run end; one that has runs goes on."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def launch(folders: Sequence[RunFolder], *, gpu: str | None = None) -> None:
    """Start a supervisor and its worker, both in a session of their own, on runs that it carries one after the other.

    `gpu`: what CUDA_VISIBLE_DEVICES shall name for them.
    Raises: Refusal: they didn't start; folders of runs that never began are removed.
    """
    with WarmSupervisor(gpu=gpu) as supervisor:
        supervisor.take(folders)


def _refuse_as(receipt: Receipt) -> None:
    if receipt.refused is not None:
        raise Refusal(receipt.refused)


def _has_begun(folder: RunFolder) -> bool:
    try:
        return folder.events.stat().st_size > 0
    except FileNotFoundError:
        return False


def _discard_unowned(folder: RunFolder) -> None:
    """Remove a run's folder, unless another supervisor was quicker to take it."""
    with contextlib.suppress(Refusal):
        ownership = Ownership.take(folder)
        discard(folder)
        ownership.release()


def worker_environment(*, one_gpu: bool = True) -> dict[str, str]:
    """Give the worker's environment variables; without `one_gpu` it sees all GPUs that the user made visible.

    The figures were measured with SmolLM2-135M on two cores; docs/decisions/0004 has them.
    """
    return {
        **os.environ,
        "PEGBOX_HOME": str(home()),  # it may be relative, and the worker is in another folder
        **(_one_gpu() if one_gpu else {}),
        # Temporaries above 32 MB would be mapped and unmapped at each step: -31 % CPU time without that.
        "MALLOC_MMAP_THRESHOLD_": "2000000000",
        "MALLOC_TRIM_THRESHOLD_": "2000000000",
        # Waiting threads stop spinning early, so one busy neighbour doesn't triple the step time.
        "GOMP_SPINCOUNT": "1000",
        "TOKENIZERS_PARALLELISM": "false",
        "TQDM_DISABLE": "1",
        # Nothing leaves the machine unasked.
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _one_gpu() -> dict[str, str]:
    """Show a single process a single GPU: TRL refuses to spread one over several.

    The first of those the user made visible, else the one with the most free memory.
    """
    names = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
    chosen = {name: os.environ[name].partition(",")[0] for name in names if name in os.environ}
    if "CUDA_VISIBLE_DEVICES" in chosen:
        return chosen
    from pegbox_hardware.amd import amd_gpus  # here, so that what only looks at runs doesn't load it
    from pegbox_hardware.nvidia import nvidia_gpus

    gpus, _ = nvidia_gpus()
    if gpus:
        return {"CUDA_VISIBLE_DEVICES": _freest(gpus).uuid} if len(gpus) > 1 else {}
    if chosen:
        return chosen
    gpus, _ = amd_gpus()
    return {"HIP_VISIBLE_DEVICES": str(_freest(gpus).index)} if len(gpus) > 1 else {}


def _freest(gpus: Sequence[Gpu]) -> Gpu:
    return max(gpus, key=lambda gpu: gpu.memory_free or 0)


def worker_command() -> list[str]:
    """Give the command line of a worker; it waits on its standard input for a run's folder."""
    return [sys.executable, "-P", "-m", "pegbox_worker"]


def crew_command() -> list[str]:
    """Give the command line of what takes a worker's place where several processes carry a run together."""
    return [sys.executable, "-P", "-m", "pegbox_runs.crew"]
