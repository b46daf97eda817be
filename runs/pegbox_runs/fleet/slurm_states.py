"""What Slurm's states and reasons mean here. Source: squeue(1) of Slurm 22.05, "JOB STATE CODES"; job_reasons."""

from __future__ import annotations

from pegbox_runs.fleet.cluster import JobState
from pegbox_runs.printable import one_line

WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
ENDED = {
    "COMPLETED": "",
    "FAILED": "Slurm's job {id_} ended with an error; the job's own output in the run's folder says more",
    "TIMEOUT": "Slurm's job {id_} came to its time limit",
    "DEADLINE": "Slurm's job {id_} came to its deadline",
    "OUT_OF_MEMORY": "Slurm's job {id_} used more memory than it was given",
    "PREEMPTED": "another Slurm job took its place",
    "CANCELLED": "Slurm's job {id_} was cancelled",
    "REVOKED": "Slurm's job {id_} was revoked",
    "NODE_FAIL": "",
    "BOOT_FAIL": "",
}
"""State -> why nothing more comes of a job. Those of a node are told with the node's name instead."""
REASONS = {
    "Resources": "a node with room",
    "Priority": "jobs before it in Slurm's queue",
    "Dependency": "another job",
    "Licenses": "a licence",
    "ReqNodeNotAvail": "a node that isn't available just now",
    "Reservation": "its reservation to begin",
    "BeginTime": "its time to begin",
    "JobHeldUser": "somebody to release it: it is held",
    "JobHeldAdmin": "an administrator to release it: it is held",
    "PartitionDown": "its partition, which is down",
    "PartitionTimeLimit": "nothing: its time limit is above its partition's",
    "AssociationJobLimit": "its account's other jobs",
}
MOST_REASON = 80


def job_state(id_: str, state: str, reason: str, nodes: str) -> JobState:
    """Say what a job's state means. `state`: in full, as squeue's %T and sacct's State have it; `reason`: squeue's %r.

    One that nobody knows is taken for running: the post's own file tells more.
    """
    word = state.split(" ")[0].rstrip("+")  # sacct: "CANCELLED by 0"
    if word in WAITING:
        return JobState("waiting", _reason(reason))
    if word in {"NODE_FAIL", "BOOT_FAIL"}:
        which = one_line(nodes, MOST_REASON)
        return JobState("gone", f"{which} was lost" if which else "its node was lost")
    if word not in ENDED:
        return JobState("running")
    memory = True if word == "OUT_OF_MEMORY" else None if word in {"COMPLETED", "FAILED"} else False
    return JobState("gone", ENDED[word].format(id_=one_line(id_, MOST_REASON)), memory)


def _reason(reason: str) -> str:
    word = reason.partition(",")[0].strip()
    if word in {"", "None"}:
        return "Slurm to look at it"
    limit = word.startswith(("QOS", "Assoc", "Max"))
    return REASONS.get(word, f"a limit of Slurm's ({one_line(word, MOST_REASON)})" if limit else one_line(word, 80))
