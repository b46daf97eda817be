"""Where the workers of a comparison on a cluster come from: each entry has its own, on whichever node has room."""

from __future__ import annotations

import secrets
import threading

from pegbox_methods.home import home
from pegbox_runs.fleet.choosing import cluster_apart
from pegbox_runs.fleet.cluster import Cluster, Wanted
from pegbox_runs.fleet.post_files import PostWanted, read_wanted, sweep_records, write_wanted
from pegbox_runs.fleet.remote_worker import RemoteWorker
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision.worker import Worker


class RemoteSupply:
    """Gives a lane its workers."""

    def __init__(self, cluster: Cluster, on: str) -> None:
        self._cluster = cluster
        self._on = on

    def next(self, folder: RunFolder) -> RemoteWorker:
        """Give a worker that isn't submitted yet; one that a dead director left behind ends first.

        Raises: OSError: the run's folder can't be written.
        """
        former = read_wanted(folder)
        wanted = PostWanted(ticket=secrets.token_hex(8), home=str(home()), on=self._on)
        write_wanted(folder, wanted)  # from now on a post with another ticket ends by itself
        if former is not None:
            RemoteWorker(self._cluster, folder, former).leave_behind()
        sweep_records(folder, wanted.ticket)
        return RemoteWorker(self._cluster, folder, wanted)

    def left_behind(self, folder: RunFolder) -> RemoteWorker | None:
        """Hold the worker that a dead director left; None: it is gone."""
        former = read_wanted(folder)
        if former is None or former.on != self._on:
            return None
        worker = RemoteWorker(self._cluster, folder, former)
        return None if worker.gone else worker

    def finish(self, worker: Worker, folder: RunFolder) -> None:  # noqa: ARG002  # nothing was printed elsewhere
        """Let go of a worker that is gone."""
        worker.close()

    def close(self) -> None:
        """Nothing waits for a run."""


class Fleet:
    """The lanes' one connection to a cluster, made when the first of them needs it."""

    def __init__(self, on: str, wanted: Wanted) -> None:
        self._on = on
        self._wanted = wanted
        self._cluster: Cluster | None = None
        self._lock = threading.Lock()

    def supply(self) -> RemoteSupply:
        """Give a lane its workers. Raises: Refusal: the cluster can't be reached."""
        with self._lock:
            if self._cluster is None:
                cluster = cluster_apart(self._on, self._wanted)
                cluster.reach()
                self._cluster = cluster
        return RemoteSupply(self._cluster, self._on)

    def close(self) -> None:
        """Let go of the cluster."""
        if self._cluster is not None:
            self._cluster.close()
