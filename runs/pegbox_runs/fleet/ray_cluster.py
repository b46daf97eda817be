"""A Ray cluster: each entry is a detached actor, so that it outlives its director, and the next one finds it by name.

Retries are Pegbox's own, from the last checkpoint; Ray only finds a node with room, and tells what became of it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pegbox_methods.refusal import Refusal
from pegbox_runs.figures import gib
from pegbox_runs.fleet.cluster import JobState, Post, Wanted
from pegbox_runs.fleet.looking import begin_look, read_look, refuse_looks
from pegbox_runs.fleet.ray_share import address_of, carries, count, has_gpus, share_of, too_little
from pegbox_runs.printable import one_line

NAMESPACE = "pegbox"
REACH_SECONDS = 5.0
INIT_SECONDS, CLIENT_INIT_SECONDS = 30.0, 80.0
"""How long a head may take to let this machine in. Its client server starts a process for each client, for which it
waits half a minute; a busy one is asked again.
"""
LOOK_SECONDS = 90.0
"""How long a node may take to start one of Ray's workers and look."""
ROUND_SECONDS = 1.0
"""Between two looks at all actors."""
INSTALL = "Ray isn't installed here, or not as a client: `pip install 'pegbox[ray]'`, here and on every node."
Found = TypeVar("Found")


class RayCluster:
    """A connection of this process to a cluster; Ray has one for each process."""

    def __init__(self, on: str, wanted: Wanted) -> None:
        """`on`: `ray`, `ray:HOST:PORT` of its head, where this machine is a node of it, or `ray://HOST:PORT`, Ray's
        client, where it isn't.

        Raises: Refusal: that is none of them.
        """
        self._address = address_of(on)
        self.wanted = wanted
        self._ray: Any = None
        self._posts: dict[str, Any] = {}
        """Name of an actor -> what is ready once it has ended."""
        self._gone: dict[str, JobState] = {}
        self._look_at = 0.0
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        """Give what people call it."""
        return "Ray" if self._address == "auto" else f"Ray at {one_line(self._address.removeprefix('ray://'), 80)}"

    def reach(self) -> None:
        """Connect. Raises: Refusal: nothing answers within seconds, or it is another Ray than this."""
        with self._lock:
            if self._ray is not None:
                return
            os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
            try:
                import ray
            except ImportError:
                raise Refusal(INSTALL) from None
            _refuse_deaf(self._address, self.name)
            seconds = CLIENT_INIT_SECONDS if self._is_client else INIT_SECONDS
            try:
                _within(seconds, lambda: self._connect(ray))
            except TimeoutError:
                raise Refusal(f"{self.name} didn't let this machine in within {seconds:.0f} s. {MEND}") from None
            except ImportError:
                raise Refusal(INSTALL) from None
            except Exception as error:  # noqa: BLE001  # Ray has a kind of its own for each; people read what it says
                if "ray[client]" in str(error):
                    raise Refusal(INSTALL) from None
                raise Refusal(f"{self.name} can't be reached: {one_line(str(error), 300)}. {MEND}") from None
            self._ray = ray

    @property
    def _is_client(self) -> bool:
        return self._address.startswith("ray://")

    def _connect(self, ray: Any) -> None:
        given = {"address": self._address, "namespace": NAMESPACE, "logging_level": "ERROR"}
        if not self._is_client:
            ray.init(**given, log_to_driver=False)
            return
        try:
            ray.init(**given)
        except ConnectionError:
            ray.init(**given)

    def has_gpus(self) -> bool:
        """Tell whether any node has a GPU."""
        self.reach()
        return has_gpus([node["Resources"] for node in self._nodes()])

    def check(self, places: Sequence[Path]) -> None:
        """See that every node could carry an entry. Raises: Refusal."""
        self.reach()
        share = self._share()
        with begin_look(places) as asking:
            from pegbox_runs.fleet.ray_tasks import look_here

            looking = self._ray.remote(look_here)
            asked = {
                looking.options(num_cpus=0, max_retries=0, scheduling_strategy=self._on_node(node)).remote(
                    asking.arguments
                ): _host(node)
                for node in self._nodes()
                if _carries(node, share)
            }
            ready, late = self._ray.wait([*asked], num_returns=len(asked), timeout=LOOK_SECONDS)
            if late:
                hosts = ", ".join(sorted(asked[one] for one in late))
                raise Refusal(f"{hosts} didn't answer within {LOOK_SECONDS:.0f} s, as a node of {self.name}.")
            refuse_looks(asking, [self._looked(one, asked[one]) for one in ready])

    def _looked(self, ready: Any, host: str) -> Any:
        try:
            return read_look(self._ray.get(ready))
        except Exception as error:  # noqa: BLE001  # whatever it was, that node can't carry an entry
            said = str(getattr(error, "cause", None) or error)
            if "pegbox" in said and "No module named" in said:
                raise Refusal(f"{host} has no Pegbox: install the same version there as here.") from None
            raise Refusal(f"{host} couldn't look at its own place: {one_line(said, 300)}") from None

    def slots(self) -> int:
        """Tell how many entries may run at once. Raises: Refusal: no node has what one needs."""
        self.reach()
        share = self._share()
        there = sum(_carries(node, share) for node in self._nodes())
        return there if self.wanted.at_once is None else min(there, self.wanted.at_once)

    def words(self) -> str:
        """Say what each entry gets."""
        share = self._share()
        nodes = sum(_carries(node, share) > 0 for node in self._nodes())
        gets = [count(share["GPU"], "GPU")] if share.get("GPU") else []
        gets.append(count(share["CPU"], "core"))
        if share.get("memory"):
            gets.append(f"{gib(round(share['memory']))} of memory")
        return f"{count(nodes, 'node')}, {' and '.join(gets)} for each entry"

    def submit(self, post: Post) -> str:
        """Create its actor; the id is the actor's name. Raises: OSError."""
        from pegbox_runs.fleet.ray_tasks import PostKeeper

        name = f"{post.name}-{post.ticket}"
        try:
            share = self._share()
            keeper = self._ray.remote(PostKeeper).options(
                name=name,
                lifetime="detached",
                num_cpus=share["CPU"],
                num_gpus=share.get("GPU", 0),
                memory=share.get("memory"),
                max_restarts=0,
                max_task_retries=0,
                scheduling_strategy="SPREAD",
            )
            actor = keeper.remote()
            with self._lock:
                self._gone.pop(name, None)
                self._posts[name] = actor.keep.remote(str(post.folder), post.ticket)
        except Exception as error:
            raise OSError(one_line(str(error), 300)) from error
        return name

    def state(self, id_: str) -> JobState:
        """Tell what became of an actor; all are looked at together, once a second."""
        with self._lock:
            if id_ not in self._gone and id_ not in self._posts:
                self._find(id_)
            if time.monotonic() >= self._look_at:
                self._look_at = time.monotonic() + ROUND_SECONDS
                self._look()
            return self._gone.get(id_) or JobState("waiting", "for a node with room")

    def cancel(self, id_: str) -> None:
        """End an actor, and its post with it."""
        with self._lock, contextlib.suppress(Exception):  # it is gone, or so is the cluster, which comes to the same
            self._ray.kill(self._ray.get_actor(id_, namespace=NAMESPACE), no_restart=True)

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            if self._ray is not None:
                self._ray.shutdown()
                self._ray = None

    def _find(self, id_: str) -> None:
        """Take up an actor that another director left."""
        try:
            actor = self._ray.get_actor(id_, namespace=NAMESPACE)
            self._posts[id_] = actor.await_end.remote()
        except Exception:  # noqa: BLE001  # whatever it is, no such actor can be asked
            self._gone[id_] = JobState("gone")

    def _look(self) -> None:
        names = {future: name for name, future in self._posts.items()}
        if not names:
            return
        try:
            ready, _ = self._ray.wait([*names], num_returns=len(names), timeout=0)
        except Exception:  # noqa: BLE001  # the head is lost, or its client server: posts may live on, as their files tell
            return
        for future in ready:
            name = names[future]
            del self._posts[name]
            try:
                self._ray.get(future)
                self._gone[name] = JobState("gone")
            except Exception as error:  # noqa: BLE001  # that it ended is all that must be known; why, what people read
                self._gone[name] = _end_of(error)

    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self._ray.nodes() if node.get("Alive")]

    def _on_node(self, node: dict[str, Any]) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)

    def _share(self) -> dict[str, float]:
        """Give what each entry asks Ray for. Raises: Refusal: no node has so much."""
        resources = [node["Resources"] for node in self._nodes()]
        share = share_of(resources, self.wanted)
        if not any(carries(one, share) for one in resources):
            raise Refusal(too_little(resources, share, self.name))
        return share


MEND = (
    "See that it runs (`ray status` on its head), that the same Ray and Python are on both, and that RAY_AUTH_MODE and "
    "its token are those of the cluster."
)


def _carries(node: dict[str, Any], share: dict[str, float]) -> int:
    return carries(node["Resources"], share)


def _refuse_deaf(address: str, name: str) -> None:
    """See that something listens. Raises: Refusal."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), REACH_SECONDS).close()
    except OSError as error:
        raise Refusal(f"{name}: nothing answers there ({error.strerror or error}). {MEND}") from None


def _within(seconds: float, act: Callable[[], Found]) -> Found:
    """Do it in a thread. Raises: TimeoutError: it takes longer; whatever it raises."""
    found: list[Found] = []
    fault: list[BaseException] = []

    def doing() -> None:
        try:
            found.append(act())
        except BaseException as error:  # noqa: BLE001  # raised below
            fault.append(error)

    thread = threading.Thread(target=doing, daemon=True)
    thread.start()
    thread.join(seconds)
    if fault:
        raise fault[0]
    if not found:
        raise TimeoutError
    return found[0]


def _end_of(error: Exception) -> JobState:
    """Say how an actor ended, in a clause."""
    said = str(error)
    if "exit_actor" in said or "INTENDED_USER_EXIT" in said:
        return JobState("gone")
    if "OutOfMemory" in type(error).__name__ or ("memory" in said and "OOM" in said):
        return JobState("gone", "Ray killed it, since its node was short of memory", out_of_memory=True)
    if "node" in said and ("died" in said or "dead" in said):
        return JobState("gone", "its node was lost")
    if type(error).__name__ == "ActorUnavailableError":
        return JobState("gone", "its node can't be reached any more")
    return JobState("gone", f"Ray ended it ({type(error).__name__})")


def _host(node: dict[str, Any]) -> str:
    return one_line(str(node.get("NodeManagerHostname") or node.get("NodeName") or "a node"), 80)
