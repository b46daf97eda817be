"""A Slurm cluster: each entry's worker is one job of sbatch's, its script saved in the entry's folder.

Slurm's own commands, not a library: submitit pickles what it runs, and asks sacct alone, which many clusters and every
small one lack. Retries are Pegbox's own, from the last checkpoint, so jobs are never requeued.
"""

from __future__ import annotations

import contextlib
import shlex
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pegbox_methods.refusal import Refusal
from pegbox_runs.figures import gib
from pegbox_runs.fleet.cluster import JobState, Post, Wanted
from pegbox_runs.fleet.looking import Asking, NodeLook, begin_look, read_look, refuse_looks
from pegbox_runs.fleet.post_command import post_command
from pegbox_runs.fleet.slurm_commands import asked, refuse_missing
from pegbox_runs.fleet.slurm_nodes import Node, cpus_of, gpus_on, nodes_of, places_on, refuse_long
from pegbox_runs.fleet.slurm_options import WARNING_SECONDS, directives, read_options
from pegbox_runs.fleet.slurm_states import job_state
from pegbox_runs.printable import one_line
from pegbox_runs.whole_file import write_whole

SCRIPT = "slurm.sh"
ROUND_SECONDS = 4.0
"""Between two calls of squeue, which asks for all jobs at once: administrators dislike more."""
SETTLING_SECONDS = 10.0
"""After its submission a job that squeue doesn't name yet is waited for."""
MOST_LOOKED_AT, LOOK_SECONDS = 16, 30
"""Idle nodes that look at their places before the start, and how long Slurm has to begin that."""
MOST_SLOTS = 1000
"""Jobs in Slurm's queue at once where the person named no number: clusters limit what one may submit."""
WHERE = ("--partition=", "--account=", "--qos=", "--constraint=", "--reservation=")
DEAF = "squeue can't be read just now"


class SlurmCluster:
    """Jobs of this user, by Slurm's commands. Nothing is held open."""

    def __init__(self, options: str, wanted: Wanted) -> None:
        """`options`: what follows `slurm:`. Raises: Refusal: it can't be read."""
        self._options = read_options(options)
        self.wanted = wanted
        self._lock = threading.Lock()
        self._ask_at = 0.0
        self._listed: dict[str, JobState] = {}
        self._listed_at = 0.0
        """When squeue was asked for what it lists; 0: it never answered."""
        self._submitted: dict[str, float] = {}
        self._gone: dict[str, JobState] = {}
        self._accounts = True
        """Whether sacct may know what squeue has forgotten."""
        self._nodes: list[Node] | None = None

    @property
    def name(self) -> str:
        """Give what people call it."""
        return f"Slurm's partition {self._options.partition}" if self._options.partition else "Slurm"

    def reach(self) -> None:
        """See that Slurm answers. Raises: Refusal."""
        self._fit_nodes()

    def has_gpus(self) -> bool:
        """Tell whether each process gets a GPU. Raises: Refusal."""
        return gpus_on(self._fit_nodes(), self._options)

    def check(self, places: Sequence[Path]) -> None:
        """See that a job could be had and what nodes see. Raises: Refusal."""
        refuse_missing()
        nodes = self._fit_nodes()
        refuse_long(self._options, nodes)
        test = Post(folder=places[0], ticket="0", name="pegbox-test")
        try:
            asked(["sbatch", "--test-only", f"--chdir={places[0]}"], text=self._script(test))
        except OSError as error:
            raise Refusal(
                f"{self.name} wouldn't take an entry's job: {error}. Each asks for {self._gets()}; other resources are "
                "asked for as --on slurm:partition=NAME,time=04:00:00,cpus=4,mem=32G,gpu=gpu:a100,account=NAME."
            ) from None
        idle = [node for node in nodes if node.state == "idle" and self._places_on(node)][:MOST_LOOKED_AT]
        if idle:
            with begin_look(places) as asking:
                refuse_looks(asking, self._looks(asking, idle))

    def slots(self) -> int:
        """Tell how many entries may run at once. Raises: Refusal: Slurm doesn't answer, or no node has room for one."""
        there = sum(self._places_on(node) for node in self._fit_nodes())
        if there == 0:
            largest = max(self._fit_nodes(), key=lambda node: (node.gpus, node.cpus, node.memory_mib))
            raise Refusal(
                f"no node of {self.name} has room for an entry, which asks for {self._gets()}; the largest, "
                f"{one_line(largest.name, 80)}, has {largest.cpus} cores, {gib(largest.memory_mib * 2**20)} of memory "
                f"and {largest.gpus} GPUs."
            )
        return min(there, self.wanted.at_once or MOST_SLOTS)

    def words(self) -> str:
        """Say what each entry gets."""
        nodes = sum(self._places_on(node) > 0 for node in self._fit_nodes())
        return f"{nodes} node{'s' if nodes != 1 else ''}, {self._gets()} for each entry"

    def submit(self, post: Post) -> str:
        """Save its script, and submit that. Raises: OSError: Slurm doesn't take it, in its own words."""
        script = post.folder / SCRIPT
        try:
            write_whole(script, self._script(post).encode())
        except Refusal as refusal:
            raise OSError(refusal.sentence) from None
        told = asked(["sbatch", "--parsable", f"--chdir={post.folder}", str(script)])
        id_ = told.strip().partition(";")[0]
        if not id_.isdigit():
            raise OSError(f"sbatch said {one_line(told, 80)}, which is no job's id")
        with self._lock:
            self._submitted[id_] = time.monotonic()
        return id_

    def state(self, id_: str) -> JobState:
        """Tell what became of a job; one call of squeue answers for all."""
        with self._lock:
            if id_ in self._gone:
                return self._gone[id_]
            if time.monotonic() >= self._ask_at:
                self._list()
            found = self._listed.get(id_)
            if found is None and not self._listed_at:
                return JobState("waiting", DEAF)
            if found is None and self._listed_at <= self._submitted.get(id_, 0.0) + SETTLING_SECONDS:
                return JobState("waiting", "Slurm to list it")
            found = found or self._forgotten(id_)
            if found.phase == "gone":
                self._gone[id_] = found
                self._submitted.pop(id_, None)
            return found

    def cancel(self, id_: str) -> None:
        """End a job; one that is gone stays so."""
        with contextlib.suppress(OSError):  # its post sees that it isn't wanted any more
            asked(["scancel", id_])

    def close(self) -> None:
        """Nothing is held open."""

    def _list(self) -> None:
        """Ask for all jobs; where Slurm doesn't answer, what it said last holds."""
        begun = time.monotonic()
        with contextlib.suppress(OSError):
            text = asked(["squeue", "--me", "--noheader", "--states=all", "--format=%A|%T|%r|%N"])
            rows = (line.split("|") for line in text.splitlines() if line.count("|") == 3)
            self._listed = {id_: job_state(id_, state, reason, nodes) for id_, state, reason, nodes in rows}
            self._listed_at = begun
        self._ask_at = time.monotonic() + ROUND_SECONDS

    def _forgotten(self, id_: str) -> JobState:
        """Tell of a job that squeue names no more: some minutes after its end it doesn't."""
        if self._accounts:
            try:
                form = ("--noheader", "--parsable2", "--allocations", "--format=State,NodeList")
                text = asked(["sacct", *form, f"--jobs={id_}"])
            except OSError:
                self._accounts = False  # many clusters keep no accounts
            else:
                state, _, nodes = text.strip().partition("|")
                if state:
                    return job_state(id_, state, "", nodes)
        return JobState("gone", f"Slurm knows nothing of its job {one_line(id_, 40)} any more")

    def _script(self, post: Post) -> str:
        """Write what sbatch runs: readable, and fit to be submitted again by hand."""
        asks = [
            *self._asks(),
            f"--job-name={post.name}",
            "--output=slurm-%j.log",
            "--export=ALL",
            "--no-requeue",
            f"--signal=B:TERM@{WARNING_SECONDS}",
        ]
        return "\n".join(
            [
                "#!/bin/bash",
                *(f"#SBATCH {one}" for one in asks),
                "# Two minutes before the job's time limit its post is told by SIGTERM: what is trained is saved, and",
                "# the entry goes on in another job. That is why it takes this shell's place.",
                f"export OMP_NUM_THREADS={self._cpus()}",
                f"exec {shlex.join(post_command(post))}",
                "",
            ]
        )

    def _asks(self) -> Sequence[str]:
        gpus = gpus_on(self._fit_nodes(), self._options)
        return directives(self._options, self.wanted, gpus=gpus, cpus=self._cpus())

    def _cpus(self) -> int:
        return cpus_of(self._fit_nodes(), self._options, self.wanted)

    def _places_on(self, node: Node) -> int:
        gpus = gpus_on(self._fit_nodes(), self._options)
        return places_on(node, self._options, self.wanted, gpus=gpus, cpus=self._cpus())

    def _fit_nodes(self) -> list[Node]:
        """Give the partition's nodes that take jobs, as they were at first. Raises: Refusal: there are none."""
        if self._nodes is None:
            refuse_missing()
            try:
                there = nodes_of(self._options)
            except OSError as error:
                raise Refusal(f"Slurm can't be asked: {error}. `sinfo` must answer on this machine.") from None
            nodes = [node for node in there if node.fit]
            if not nodes:
                told = ", ".join(f"{one_line(node.name, 40)} is {one_line(node.state, 20)}" for node in there[:4])
                raise Refusal(f"no node of {self.name} takes jobs: {told or 'the partition is closed'}.")
            self._nodes = nodes
        return self._nodes

    def _gets(self) -> str:
        processes, cores = self.wanted.processes, self._cpus() * self.wanted.processes
        gets = [f"{cores} core{'s' if cores > 1 else ''}"]
        if gpus_on(self._fit_nodes(), self._options):
            gets.insert(0, f"{processes} GPU{'s' if processes > 1 else ''}")
        if self._options.mem or self.wanted.memory_bytes:
            gets.append(f"{self._options.mem or gib(self.wanted.memory_bytes or 0)} of memory")
        return ", ".join(gets[:-1]) + f" and {gets[-1]}" if len(gets) > 1 else gets[0]

    def _looks(self, asking: Asking, nodes: Sequence[Node]) -> list[NodeLook]:
        """Let idle nodes look. None does where Slurm has no room for that just now: each job tells it at its start.

        Raises: Refusal: a node couldn't begin to.
        """
        where = [one for one in self._asks() if one.startswith(WHERE)]
        names = ",".join(node.name for node in nodes)
        count = [f"--nodes={len(nodes)}", f"--ntasks={len(nodes)}", "--ntasks-per-node=1", f"--nodelist={names}"]
        limits = [f"--immediate={LOOK_SECONDS}", "--time=2", "--chdir=/", "--export=ALL", "--job-name=pegbox-look"]
        try:
            text = asked(["srun", *where, *count, *limits, *asking.command], seconds=2 * LOOK_SECONDS)
        except OSError as error:
            said = str(error)
            if "mmediate" in said or "llocat" in said:
                return []
            if "No module named" in said:
                raise Refusal(f"a node of {self.name} has no Pegbox: install the same version there as here.") from None
            raise Refusal(f"{self.name} couldn't look at its nodes' places: {said}") from None
        with contextlib.suppress(msgspec.MsgspecError):
            return [read_look(line) for line in text.splitlines() if line.startswith("{")]
        return []
