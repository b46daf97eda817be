"""What a run says of itself: one record a line in events.jsonl, numbered and timed.

Every attribute's docstring is its documentation; `runs/README.md` is tested against them.
Later versions may add events and fields, never rename or re-use one.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

PhaseName = Literal["starting", "loading", "preparing", "training", "evaluating", "saving"]


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", gc=False):
    """What all events carry."""

    seq: int = 0
    """Number in this log, from 1, without gaps unless a line was lost."""
    time: float = 0.0
    """Seconds since 1970 in UTC, by the writing machine's clock."""


class Memory(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Memory in bytes; None where there is no device or no figure."""

    device_now: int | None = None
    """Allocated by tensors on the device."""
    device_peak: int | None = None
    """Most ever reserved on the device by this process."""
    process_now: int | None = None
    """Resident set of the worker."""
    process_peak: int | None = None
    """Largest resident set of the worker so far."""


class Started(Event, frozen=True, kw_only=True, tag="started", gc=False):
    """A supervisor took the run and handed it to a worker."""

    run: str
    """The run's id: the name of its folder."""
    method: str
    """The method's name."""
    model: str
    """The model as the recipe names it."""
    host: str
    """Machine on which the processes below live."""
    supervisor_pid: int
    """Process id of the supervisor."""
    supervisor_mark: str
    """What tells that process from a later one of the same id: on Linux, boot id and start tick."""
    worker_pid: int
    """Process id of the worker."""
    worker_mark: str
    """The same of the worker."""
    version: str
    """Pegbox's version."""


class Phase(Event, frozen=True, kw_only=True, tag="phase", gc=False):
    """The worker begins another kind of work."""

    phase: PhaseName
    """Which: `starting`, `loading`, `preparing`, `training`, `evaluating` or `saving`."""
    detail: str = ""
    """With what, for people."""


class Prepared(Event, frozen=True, kw_only=True, tag="prepared", gc=False):
    """All is loaded and counted; training begins next."""

    steps: int
    """Optimizer steps this run will take."""
    rows_trained: int
    """Rows in one epoch."""
    rows_evaluated: int
    """Held-out rows."""
    tokens: int
    """Tokens of the training rows, without padding."""
    tokens_trained: int
    """Those of them that carry a label, which is what the model learns."""
    trainable_weights: int
    """Weights that the optimizer changes."""
    model_weights: int
    """All weights, the adapter's too."""
    device: str
    """Where it trains, as torch names it: `cpu`, `cuda:0`."""
    precision: str
    """Number format of the computation, after `auto` was decided."""
    activation_checkpointing: bool
    """Whether activations are recomputed, after `auto` was decided."""
    loss_path: str
    """Which code computes the loss: `labelled-positions` (Pegbox's, on a CPU) or `trl-fused`."""
    order: str = ""
    """In which order the rows come, as training.order names it, after it was tried whether they can be packed."""
    sequences: int | None = None
    """Packed sequences in one epoch; None: each row is a sequence of its own."""
    rows_kept: bool = False
    """Whether the rows' tokens were taken from where an earlier run had left them."""


class Step(Event, frozen=True, kw_only=True, tag="step", gc=False):
    """One optimizer step is done."""

    step: int
    """Number of the step, from 1."""
    epoch: float
    """Epochs done, in parts."""
    loss: float
    """Mean cross-entropy per trained token of this step's rows, in nats, without a method's extra terms."""
    learning_rate: float
    """The rate that this step was taken with."""
    gradient_norm: float | None
    """Norm of the gradient before clipping; None where it wasn't finite, as in a skipped step of float16."""
    tokens: int
    """Tokens of this step's rows, without padding."""
    padding: int = 0
    """Positions that went through the model and hold no token of a row."""
    tokens_per_second: float
    """Those tokens by the step's seconds."""
    step_seconds: float
    """From the previous step's end (evaluations and checkpoints left out) to this one's."""
    memory: Memory
    """Memory at the step's end, and the peaks."""


class Evaluation(Event, frozen=True, kw_only=True, tag="evaluation", gc=False):
    """The held-out rows were looked at."""

    step: int
    """After which step; 0 is the untrained model."""
    loss: float
    """Sum of the cross-entropies over all labelled held-out tokens by their number, in nats."""
    perplexity: float
    """e to the power of the loss."""
    tokens: int
    """Labelled tokens the loss is a mean of."""
    seconds: float
    """How long it took."""
    best: bool
    """Whether no earlier trained evaluation of this run was lower; step 0 is never `best`."""
    memory: Memory
    """Memory at its end, and the peaks."""


class Sample(Event, frozen=True, kw_only=True, tag="sample", gc=False):
    """The model answered a held-out question, greedily."""

    step: int
    """After which step; 0 is the untrained model."""
    index: int
    """Which of the questions, from 0."""
    question: str
    """The last thing the user says in the row."""
    answer: str
    """What the model said."""
    expected: str
    """What the row says."""


class Checkpoint(Event, frozen=True, kw_only=True, tag="checkpoint", gc=False):
    """A checkpoint was written whole."""

    step: int
    """After which step."""
    folder: str
    """Its folder, relative to the run's."""


class Ranks(Event, frozen=True, kw_only=True, tag="ranks", gc=False):
    """The method moved rank from one matrix to another."""

    step: int
    """After which step."""
    ranks: dict[str, int]
    """Rank in use, by the matrix' name in the model."""
    before: int
    """Sum of the ranks before the first move."""


class Notice(Event, frozen=True, kw_only=True, tag="notice", gc=False):
    """Something a person should know; the run goes on."""

    text: str
    """What was found, and what to do if anything."""
    about: str = ""
    """A short stable word for programs: `truncated`, `log-gap`, `overfitting`..."""


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

    reason: Literal["completed", "stopped"]
    """`stopped`: by a command or a signal, before its last step."""
    steps: int
    """Steps taken."""
    kept_step: int
    """The step whose weights are in the adapter: the best evaluated one, else the last."""
    adapter: str | None
    """Folder of the adapter, relative to the run's; None if it was stopped before its first step."""
    seconds: float
    """Sum of the steps' seconds: evaluations and checkpoints are left out."""


class Failed(Event, frozen=True, kw_only=True, tag="failed", gc=False):
    """The run ended without its result."""

    what: str
    """What happened, in one sentence."""
    where: str
    """In which phase, and at which step if training had begun."""
    remedy: str
    """What to do."""
    exit_code: int | None = None
    """The worker's, where the supervisor saw it end."""
    signal: str | None = None
    """The signal that ended the worker, as `SIGKILL`."""


class Answered(Event, frozen=True, kw_only=True, tag="answered", gc=False):
    """A small job of the worker, asked for by another part of Pegbox, was done; never in a run's own log."""

    job: str
    """The job's name."""
    answer: msgspec.Raw
    """What it found, in a form of its own for each job."""


AnyEvent = (
    Started
    | Phase
    | Prepared
    | Step
    | Evaluation
    | Sample
    | Checkpoint
    | Ranks
    | Notice
    | CommandAnswer
    | Finished
    | Failed
    | Answered
)

KINDS: tuple[type[Event], ...] = AnyEvent.__args__


def event_schema() -> dict[str, Any]:
    """Give the JSON schema of one line of events.jsonl."""
    return msgspec.json.schema(AnyEvent)


def event_encoder() -> msgspec.json.Encoder:
    """Make the encoder of event lines."""
    return msgspec.json.Encoder()


def event_decoder() -> msgspec.json.Decoder[AnyEvent]:
    """Make the decoder of event lines."""
    return msgspec.json.Decoder(AnyEvent)
