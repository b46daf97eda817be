"""What follows `--on slurm:`: the few options of Slurm's that a person chooses, as `partition=gpu,time=04:00:00`."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from pegbox_methods.refusal import Refusal, did_you_mean
from pegbox_runs.fleet.cluster import Wanted
from pegbox_runs.printable import one_line

WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,99}")
TIME = re.compile(r"(?:\d+-)?\d+(?::\d\d){0,2}")
"""As sbatch takes it: minutes, MINUTES:SS, HOURS:MM:SS, or with DAYS- before the hours."""
COUNT = re.compile(r"[1-9]\d{0,3}")
MEMORY = re.compile(r"[1-9]\d{0,8}[MGT]?")
GRES = re.compile(r"gpu(?::[A-Za-z0-9_.-]{1,40})?")
WARNING_SECONDS = 120
"""Before a job's time limit, at which its post is told: a checkpoint is saved, and the entry goes on in another job."""


class SlurmOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a person chose; None or empty: Slurm's own default, or what the entry needs."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    reservation: str | None = None
    time: str | None = None
    """A job's time limit. An entry that needs longer goes on in another job."""
    cpus: int | None = None
    """Of each process."""
    mem: str | None = None
    """Of each entry, on its node."""
    gpu: str | None = None
    """The kind of GPU, as the partition's GRES names it: `gpu:a100`. One for each process."""


FORMS = {
    "partition": WORD,
    "account": WORD,
    "qos": WORD,
    "constraint": WORD,
    "reservation": WORD,
    "time": TIME,
    "cpus": COUNT,
    "mem": MEMORY,
    "gpu": GRES,
}
EXAMPLES = {"time": "04:00:00", "cpus": "4", "mem": "32G", "gpu": "gpu:a100"}


def read_options(text: str) -> SlurmOptions:
    """Read what follows `slurm:`. Raises: Refusal: an option isn't known, or its value is none that sbatch takes."""
    found: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        shown = one_line(part, 80)
        if name not in FORMS:
            raise Refusal(f"--on slurm: {shown}: {did_you_mean(name, FORMS)} Known are {', '.join(FORMS)}.")
        if name in found:
            raise Refusal(f"--on slurm: {name} is given twice.")
        if not FORMS[name].fullmatch(value):
            example = EXAMPLES.get(name, "a name of letters, digits, dots and hyphens")
            raise Refusal(f"--on slurm: {shown}: expected {name}={example}, as sbatch takes it.")
        found[name] = value
    limit = found.get("time")
    if limit is not None and seconds_of(limit) < 2 * WARNING_SECONDS:
        raise Refusal(
            f"--on slurm: time={limit}: a job is told {WARNING_SECONDS} s before its end to save what it has; give it "
            f"{2 * WARNING_SECONDS // 60} minutes at least."
        )
    return msgspec.convert(found, SlurmOptions, strict=False)


def seconds_of(limit: str) -> int:
    """Give a time limit's seconds. Source: sbatch(1), --time."""
    days, _, rest = limit.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if days:
        parts += [0] * (3 - len(parts))
        return int(days) * 86400 + parts[0] * 3600 + parts[1] * 60 + parts[2]
    if len(parts) == 3:
        return parts[0] * 3600 + parts[1] * 60 + parts[2]
    return parts[0] * 60 + (parts[1] if len(parts) == 2 else 0)


def directives(options: SlurmOptions, wanted: Wanted, *, gpus: bool, cpus: int) -> Sequence[str]:
    """Give the options of sbatch and srun that ask for what one entry gets.

    `gpus`: whether its nodes have some; `cpus`: of each process.
    """
    memory = options.mem or (None if wanted.memory_bytes is None else f"{max(1, wanted.memory_bytes // 2**20 + 1)}M")
    kind = options.gpu or "gpu"
    given = {
        "partition": options.partition,
        "account": options.account,
        "qos": options.qos,
        "constraint": options.constraint,
        "reservation": options.reservation,
        "time": options.time,
        "nodes": "1",
        "ntasks": "1",
        "cpus-per-task": str(cpus * wanted.processes),
        "mem": memory,
        "gres": f"{kind}:{wanted.processes}" if gpus else None,
    }
    return [f"--{name}={value}" for name, value in given.items() if value is not None]
