"""What a comparison asks of the cluster that its entries run on: Ray, Slurm, or a pretended one. Typing alone.

A cluster starts posts (`post.py`) on its nodes, each with the resources of one entry, and tells what became of them.
All else goes through files in the entry's folder, which lies on a disk that every node sees: see `post_files.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What every entry of a comparison shall get, the neediest one's for all."""

    processes: int = 1
    """Of one entry; each gets a GPU where the cluster has some."""
    memory_bytes: int | None = None
    """Of the machine's memory, as forecast for one entry; None: it isn't known, and none is asked for."""
    at_once: int | None = None
    """Entries that may run at once; None: as many as the cluster takes."""


@dataclass(frozen=True, kw_only=True)
class Post:
    """One entry's next worker, for a cluster to start."""

    folder: Path
    """The entry's run folder, absolute."""
    ticket: str
    """Names this worker among all that the entry ever has: letters and digits, unique."""
    name: str
    """What people see in the cluster's own lists, as `pegbox-lora.seed-42`: letters, digits, hyphens and dots."""


@dataclass(frozen=True)
class JobState:
    """What a cluster knows of a post."""

    phase: Literal["waiting", "running", "gone"]
    why: str = ""
    """A clause for people. Waiting: for what. Gone: how, as "node-7 was lost"; empty: it ended by itself."""
    out_of_memory: bool | None = None
    """Of one that is gone: whether it was killed for memory; None: the cluster doesn't say."""


class Cluster(Protocol):
    """One connection to a cluster, used by many threads at once.

    Whatever a call raises but a Refusal or an OSError is a mistake in it.
    """

    wanted: Wanted
    """What every entry shall get; it may be found out once the cluster is reached, and holds from `check` on."""

    @property
    def name(self) -> str:
        """Give what people call it, as "Ray at 10.0.0.1:6379"."""

    def reach(self) -> None:
        """Connect, if that wasn't done yet. Raises: Refusal: nothing answers, within seconds."""

    def has_gpus(self) -> bool:
        """Tell whether each of an entry's processes gets a GPU. Raises: Refusal: it can't be told."""

    def check(self, places: Sequence[Path]) -> None:
        """See that entries could run: within seconds where nothing answers.

        `places`: folders and files that every node must see, the first of them to be written to as well.
        Raises: Refusal: the head can't be reached; no node has what is wanted; a node's versions differ, or it doesn't
        see a place.
        """

    def slots(self) -> int:
        """Tell how many entries may run at once, from 1 on. Raises: Refusal: it can't be told."""

    def words(self) -> str:
        """Say in a clause what each entry gets there, as "2 nodes, 2 cores for each entry"."""

    def submit(self, post: Post) -> str:
        """Have `post_command(post)` run on some node. Returns: an id that another process may ask by, too.

        Raises: OSError: it can't be, just now.
        """

    def state(self, id_: str) -> JobState:
        """Tell what became of a post, cheaply: asked often, of each. An id that isn't known any more is gone."""

    def cancel(self, id_: str) -> None:
        """End a post, whether it waits or runs, without waiting for that; nothing happens to one that is gone."""

    def close(self) -> None:
        """Let go of the connection; posts go on."""
