"""What a run says of its processes: how they start, stumble, pause, go on and end."""

from __future__ import annotations

from typing import Literal

import msgspec

from pegbox_methods.event import Count, Event

Trouble = Literal[
    "refused", "diverged", "inspection", "device-memory", "host-memory", "disk", "device-lost", "error", "crash"
]


class Queued(Event, frozen=True, kw_only=True, tag="queued", gc=False):
    """A supervisor has the run in its queue, and carries others before it."""

    place: Count
    """1 is the next."""
    host: str
    """Machine on which the supervisor lives."""
    supervisor_pid: Count
    """Process id of the supervisor."""
    supervisor_mark: str
    """What tells that process from a later one of the same id."""


class Started(Event, frozen=True, kw_only=True, tag="started", gc=False):
    """A supervisor took the run and handed it to a worker: at its beginning, and at every restart."""

    run: str
    """The run's id: the name of its folder."""
    method: str
    """The method's name."""
    model: str
    """The model as the recipe names it."""
    host: str
    """Machine on which the processes below live."""
    supervisor_pid: Count
    """Process id of the supervisor."""
    supervisor_mark: str
    """What tells that process from a later one of the same id: on Linux, boot id and start tick."""
    worker_pid: Count
    """Process id of the worker."""
    worker_mark: str
    """The same of the worker."""
    version: str
    """Pegbox's version."""
    attempt: Count = 1
    """Which worker of this run it is, from 1."""


class Resumed(Event, frozen=True, kw_only=True, tag="resumed", gc=False):
    """A worker that isn't the run's first goes on from here; what the log holds of later steps is taken anew."""

    step: Count
    """Steps that are done; 0: no checkpoint was good, so it begins anew."""
    folder: str | None
    """The checkpoint's folder, relative to the run's; None with step 0."""
    tokens: Count = 0
    """Tokens trained on until then, without padding."""
    padding: Count = 0
    """Positions wasted on padding until then."""
    training_seconds: float = 0.0
    """Sum of the seconds of those steps."""


class WorkerFailed(Event, frozen=True, kw_only=True, tag="worker-failed", gc=False):
    """The worker couldn't go on and says why; whether the run does is for the supervisor to decide."""

    kind: Trouble
    """`refused` and `diverged` and `inspection` would come again; memory is re-planned; the rest is tried again."""
    what: str
    """What happened, in one sentence."""
    where: str
    """In which phase, and at which step if training had begun."""
    remedy: str
    """What to do if nobody else does."""
    doing: str = ""
    """The work in hand, as `forward and backward of 4 rows of 512 positions`; what a re-plan starts from."""
    step: Count = 0
    """Steps that were done."""


class WorkerEnded(Event, frozen=True, kw_only=True, tag="worker-ended", gc=False):
    """The supervisor saw the worker's process end."""

    attempt: Count
    """Which worker it was."""
    exit_code: int | None
    """None: a signal ended it, or it wasn't this supervisor's own child."""
    signal: str | None
    """The signal that ended it, as `SIGKILL`."""
    oom_killer: bool | None = None
    """Whether the kernel killed it for memory; None: the system doesn't tell."""
    evidence: str = ""
    """What says so: which counter rose."""


class Restarting(Event, frozen=True, kw_only=True, tag="restarting", gc=False):
    """The supervisor will start another worker."""

    attempt: Count
    """Which worker that will be."""
    why: str
    """What ended the one before, in one sentence."""
    after_seconds: float
    """How long it waits before that."""
    left: Count
    """Restarts that are left after this one."""


class Change(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One value of the recipe that is another from now on."""

    key: str
    """As in `training.micro_batch`."""
    before: str | int | float | None
    """What it was."""
    after: str | int | float
    """What it is."""


class Replanned(Event, frozen=True, kw_only=True, tag="replanned", gc=False):
    """The run goes on with other settings than it began with. `recipe.toml` stays as it was; `changes.jsonl` holds
    them."""

    step: Count
    """Steps that were done when it was decided."""
    why: Literal["memory", "asked"]
    """`memory`: it ran out, and the supervisor decided. `asked`: a person continued the run so."""
    changes: tuple[Change, ...]
    """What changed."""
    text: str
    """The same for people, with what it costs and what stays the same."""


class Paused(Event, frozen=True, kw_only=True, tag="paused", gc=False):
    """The run waits for `resume`."""

    step: Count
    """After which step."""
    memory: Literal["kept", "released"]
    """`released`: a checkpoint was written and the worker ended; going on takes a start of it."""


class Continued(Event, frozen=True, kw_only=True, tag="continued", gc=False):
    """A pause is over; with released memory the next worker is told by `started`."""

    step: Count
    """After which step it had paused."""
    seconds: float
    """How long it had."""


class CommandAnswer(Event, frozen=True, kw_only=True, tag="command-answer", gc=False):
    """A command from commands.jsonl was taken or refused."""

    command: str
    """Its name."""
    id: str
    """Its id, as its sender wrote it."""
    taken: bool
    """False: it was refused."""
    text: str
    """What will happen, or why not."""
    latency: float
    """Seconds from its being sent to this answer."""


class Finished(Event, frozen=True, kw_only=True, tag="finished", gc=False):
    """The run ended as it should."""

    reason: Literal["completed", "stopped", "aborted"]
    """`stopped`: by a command or a signal, before its last step, with all saved. `aborted`: at once, nothing saved."""
    steps: Count
    """Steps taken."""
    kept_step: Count
    """The step whose weights are in the adapter: the best evaluated one, else the last."""
    adapter: str | None
    """Folder of the adapter, relative to the run's; None if it was stopped before its first step, or aborted."""
    seconds: float
    """Sum of the steps' seconds: evaluations and checkpoints are left out."""


class Failed(Event, frozen=True, kw_only=True, tag="failed", gc=False):
    """The run ended without its result, and won't be tried again by itself."""

    what: str
    """What happened, in one sentence."""
    where: str
    """In which phase, and at which step if training had begun."""
    remedy: str
    """What to do."""
    kind: Trouble | None = None
    """What kind of trouble it was; None in logs of older versions."""
    exit_code: int | None = None
    """The worker's, where the supervisor saw it end."""
    signal: str | None = None
    """The signal that ended the worker, as `SIGKILL`."""
