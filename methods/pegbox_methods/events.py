"""What a run says of itself: one record a line in events.jsonl, numbered and timed.

Every attribute's docstring is its documentation; `runs/README.md` is tested against them.
Later versions may add events and fields, never rename or re-use one.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from pegbox_methods.event import Count, Event, Memory
from pegbox_methods.job_events import Answered, Progress, Spoken
from pegbox_methods.life_events import (
    Change,
    CommandAnswer,
    Continued,
    Failed,
    Finished,
    Paused,
    Queued,
    Replanned,
    Restarting,
    Resumed,
    Started,
    Trouble,
    WorkerEnded,
    WorkerFailed,
)
from pegbox_methods.rank_events import AcrossRanks, Joined, Member, RankFailed
from pegbox_methods.side_events import Check, Inspected, Load, Ranks

__all__ = [
    "KINDS",
    "UNDECODABLE",
    "AcrossRanks",
    "Answered",
    "AnyEvent",
    "Change",
    "Check",
    "Checkpoint",
    "CommandAnswer",
    "Continued",
    "Evaluation",
    "Event",
    "Failed",
    "Finished",
    "Inspected",
    "Joined",
    "Load",
    "Member",
    "Memory",
    "Notice",
    "Paused",
    "Phase",
    "PhaseName",
    "Prepared",
    "Progress",
    "Queued",
    "RankFailed",
    "Ranks",
    "Replanned",
    "Restarting",
    "Resumed",
    "Sample",
    "Spoken",
    "Started",
    "Step",
    "Trouble",
    "WorkerEnded",
    "WorkerFailed",
    "event_decoder",
    "event_encoder",
    "event_schema",
]

UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding a line, or a file, may raise; the last where its values nest deeper than Python goes."""

PhaseName = Literal["starting", "loading", "preparing", "training", "evaluating", "judging", "saving"]


class Phase(Event, frozen=True, kw_only=True, tag="phase", gc=False):
    """The worker begins another kind of work."""

    phase: PhaseName
    """Which: `starting`, `loading`, `preparing`, `training`, `evaluating`, `judging` or `saving`."""
    detail: str = ""
    """With what, for people."""


class Prepared(Event, frozen=True, kw_only=True, tag="prepared", gc=False):
    """All is loaded and counted; training begins next."""

    steps: Count
    """Optimizer steps this run will take."""
    rows_trained: Count
    """Rows in one epoch."""
    rows_evaluated: Count
    """Held-out rows."""
    tokens: Count
    """Tokens of the training rows, without padding."""
    tokens_trained: Count
    """Those of them that carry a label, which is what the model learns."""
    trainable_weights: Count
    """Weights that the optimizer changes."""
    model_weights: Count
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
    sequences: Count | None = None
    """Packed sequences in one epoch; None: each row is a sequence of its own."""
    rows_kept: bool = False
    """Whether the rows' tokens were taken from where an earlier run had left them."""
    every: Count | None = None
    """Steps between two evaluations, or between two checkpoints where no rows are held out."""
    warmup: Count | None = None
    """Steps in which the learning rate rises."""
    micro_batch: Count | None = None
    """Rows, or packed sequences, that go through the model at once."""
    accumulation: Count | None = None
    """Micro-batches of a step."""
    max_gradient_norm: float | None = None
    """Gradients of a larger norm are scaled to it."""
    vocabulary: Count | None = None
    """Tokens that the model knows: one that only guesses has a loss of the logarithm of it."""
    processes: Count = 1
    """How many carry the run together."""


class Step(Event, frozen=True, kw_only=True, tag="step", gc=False):
    """One optimizer step is done."""

    step: Count
    """Number of the step, from 1."""
    epoch: float
    """Epochs done, in parts."""
    loss: float
    """Mean cross-entropy per trained token of this step's rows, in nats, without a method's extra terms."""
    learning_rate: float
    """The rate that this step was taken with."""
    gradient_norm: float | None
    """Norm of the gradient before clipping; None where it wasn't finite, as in a skipped step of float16."""
    tokens: Count
    """Tokens of this step's rows, without padding."""
    padding: Count = 0
    """Positions that went through the model and hold no token of a row."""
    tokens_per_second: float
    """Those tokens by the step's seconds."""
    step_seconds: float
    """From the previous step's end (evaluations and checkpoints left out) to this one's."""
    rows_seconds: float | None = None
    """Of those, spent waiting for the rows of the step; None in logs of earlier versions."""
    optimizer_seconds: float | None = None
    """Of those, spent in the optimizer, clipping with it; what is left went forward and backward."""
    memory: Memory
    """Memory at the step's end, and the peaks; of several processes the worst of each."""
    across: AcrossRanks | None = None
    """How several processes differ; None: there is one."""


class Evaluation(Event, frozen=True, kw_only=True, tag="evaluation", gc=False):
    """The held-out rows were looked at."""

    step: Count
    """After which step; 0 is the untrained model."""
    loss: float
    """Sum of the cross-entropies over all labelled held-out tokens by their number, in nats."""
    perplexity: float
    """e to the power of the loss."""
    tokens: Count
    """Labelled tokens the loss is a mean of."""
    seconds: float
    """How long it took."""
    best: bool
    """Whether no earlier trained evaluation of this run was lower; step 0 is never `best`."""
    memory: Memory
    """Memory at its end, and the peaks."""
    extra: bool = False
    """Made because the run ended there; a continued run doesn't count it."""


class Sample(Event, frozen=True, kw_only=True, tag="sample", gc=False):
    """The model answered a held-out question, greedily."""

    step: Count
    """After which step; 0 is the untrained model."""
    index: Count
    """Which of the questions, from 0."""
    question: str
    """The last thing the user says in the row."""
    answer: str
    """What the model said."""
    expected: str
    """What the row says."""
    seconds: float = 0.0
    """How long the answer took; 0 in logs of earlier versions."""


class Checkpoint(Event, frozen=True, kw_only=True, tag="checkpoint", gc=False):
    """A checkpoint was written whole."""

    step: Count
    """After which step."""
    folder: str
    """Its folder, relative to the run's."""
    reason: Literal["planned", "asked", "ending", "pause", "rescue"] = "planned"
    """`ending`: the run's last one. `rescue`: written by a worker that couldn't go on."""
    bytes: Count = 0
    """What it takes on disk."""
    seconds: float = 0.0
    """How long it took to write."""


class Notice(Event, frozen=True, kw_only=True, tag="notice", gc=False):
    """Something a person should know; the run goes on."""

    text: str
    """What was found, and what to do if anything."""
    about: str = ""
    """A short stable word for programs: `truncated`, `log-gap`, `overfitting`..."""


AnyEvent = (
    Queued
    | Started
    | Resumed
    | Phase
    | Prepared
    | Step
    | Evaluation
    | Sample
    | Checkpoint
    | Inspected
    | Ranks
    | Load
    | Notice
    | CommandAnswer
    | Paused
    | Continued
    | Replanned
    | WorkerFailed
    | WorkerEnded
    | Joined
    | RankFailed
    | Restarting
    | Finished
    | Failed
    | Progress
    | Spoken
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
