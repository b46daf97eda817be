"""Starting a run where a dropped connection can't hurt it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Self, cast

from pegbox_hardware.amd import amd_gpus
from pegbox_hardware.gpu import Gpu
from pegbox_hardware.nvidia import nvidia_gpus
from pegbox_methods.home import home
from pegbox_methods.refusal import Refusal
from pegbox_runs.event_log import EventReader
from pegbox_runs.run_folder import RunFolder, discard

ANSWER_SECONDS = 20.0


class WarmSupervisor:
    """A supervisor whose worker imports its libraries while the person is still choosing.

    Both end by themselves if this process ends or closes without handing a run over.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "pegbox_runs.supervisor"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "PEGBOX_HOME": str(home())},  # it may be relative
            cwd="/",
        )

    def take(self, folder: RunFolder) -> None:
        """Hand a run over and wait until the supervisor has written its first event.

        Raises: Refusal: it didn't; the run's folder is removed.
        """
        try:
            with cast(IO[bytes], self._process.stdin) as pipe:
                pipe.write(os.fsencode(folder.path) + b"\n")
            self._await_start(folder)
        except BaseException as error:  # Ctrl-C too: a run that nobody carries must not stay in the list
            self._process.kill()
            discard(folder)
            if isinstance(error, OSError):
                raise Refusal(f"the supervisor ended before it took the run: {error}.") from error
            raise

    def _await_start(self, folder: RunFolder) -> None:
        reader = EventReader(folder.events)
        deadline = time.monotonic() + ANSWER_SECONDS
        while not any(reader.new()):
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise Refusal("the supervisor didn't take the run. `pegbox train` again; nothing was started.")
            time.sleep(0.01)

    def close(self) -> None:
        """Let a supervisor that got no run end."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def launch(folder: RunFolder) -> None:
    """Start a run's supervisor and worker, both in a session of their own.

    Raises: Refusal: they didn't start; the run's folder is removed.
    """
    with WarmSupervisor() as supervisor:
        supervisor.take(folder)


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
