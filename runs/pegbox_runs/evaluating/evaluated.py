"""What an evaluation found, as a record; every table, page and model card that tells of it is made from it."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from pegbox_methods.recipe import Metric
from pegbox_runs.arena.results import Interval

FORM = 1
Measure = Literal["loss", "general-loss"] | Metric
Finding = Literal["better", "worse", "no difference shown"]
RowsFrom = Literal["held-out", "file"]


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measure of both models, on the same rows."""

    measure: Measure
    """`loss`: nats per learned token of the evaluated rows; `general-loss`: the same of rows that have nothing to do
    with the task, by which forgetting is seen; the others: 0 to 1, of greedy answers."""
    rows: int
    """How many it rests on."""
    base: float
    tuned: float
    difference: Interval
    """The tuned model's figure less the base's, with its range at 95 %; without one where a single row can't tell."""
    higher_is_better: bool
    finding: Finding
    """What of it is more than chance, for the tuned model."""


class TaskResult(msgspec.Struct, frozen=True, kw_only=True):
    """One measure that comes from outside: a plugin's, a task of lm-eval's, a judge's."""

    name: str
    source: Literal["plugin", "lm-eval", "endpoint"]
    measure: str
    """What is counted: `accuracy`, `wins`."""
    rows: int
    base: float | None
    """None: it has no figure of one model alone, as of a judge who prefers one of two answers."""
    tuned: float | None
    difference: Interval | None
    """The tuned model's less the base's; None: it can't be told."""
    higher_is_better: bool = True
    remark: str = ""
    """What people must know of it: how many answers the judge couldn't part, say."""


class EvaluatedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One of the rows that gained or lost most."""

    number: int
    """Among the evaluated rows, from 1."""
    question: str
    """What it asks; empty where it is plain text."""
    expected: str
    """What it answers."""
    tokens: int
    """Learned ones."""
    base_loss: float
    """Nats per learned token."""
    tuned_loss: float
    base_answer: str | None = None
    """Greedy; None: it wasn't asked, as of plain text, and of a question that leaves no room for an answer."""
    tuned_answer: str | None = None

    @property
    def change(self) -> float:
        """How much the loss rose, in nats per learned token; below 0: it fell."""
        return self.tuned_loss - self.base_loss


class RowsTold(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows the models were held against."""

    source: RowsFrom
    """The run's own held-out rows, or a file's."""
    name: str
    """The file's name, without its folder."""
    sha256: str
    """Of the file's bytes; of the run's own, of the files that they were held out of."""
    tokens_sha256: str
    """Of the rows in tokens: the same rows by the same tokenizer and template have the same."""
    rows: int
    """That were judged."""
    of: int
    """Rows that there are; more than `rows` where only the first were asked for."""
    tokens: int
    """Learned tokens of the judged rows."""
    trained_on: int | None = 0
    """Rows of a file that the run was trained on: what they say flatters the tuned model. None: nothing tells."""
    general: int = 0
    """General rows, by which forgetting is seen."""
    general_sha256: str | None = None
    """Of those in tokens."""
    answered: int = 0
    """Questions that were answered."""
    answer_tokens: int = 0
    """Longest answer."""
    remarks: tuple[str, ...] = ()
    """What people should know of the rows: sentences."""


class Computed(msgspec.Struct, frozen=True, kw_only=True):
    """What the figures were computed with."""

    device: str
    precision: str
    """Number format of the computation."""
    weights: str
    """Number format of the base's weights; `nf4` where they are packed into 4 bits."""
    batch: int
    """Rows that were scored at once."""
    answer_batch: int
    """Questions that were answered at once."""
    seconds: float
    """Wall time in all, loading too."""
    answer_seconds: float
    """Of it, what answering took, both models together."""
    libraries: dict[str, str | None]
    """Version by name."""


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """The whole record."""

    form: int = FORM
    run: str
    """Its id."""
    method: str
    model: str
    """The base."""
    adapter_sha256: str
    """Of all weights of the adapter, by name and content."""
    model_sha256: str
    """The base's fingerprint, as environment.json has it."""
    made: str
    """When, in UTC: 2026-01-31T12:00:00Z."""
    rows: RowsTold
    computed: Computed
    figures: tuple[Figure, ...]
    """The loss first."""
    gained: tuple[EvaluatedRow, ...]
    """The rows whose loss fell most, the most first."""
    lost: tuple[EvaluatedRow, ...]
    """Those whose loss rose most."""
    verdict: str
    """One plain sentence."""
    worse: bool
    """Whether the tuned model is shown to be worse than its base on these rows, by its loss."""
    kept_loss: float | None = None
    """The loss that the run itself told of its kept weights on the same rows; None: it told none, or of other rows."""
    tasks: tuple[TaskResult, ...] = ()
    """Measures from outside."""

    @property
    def loss(self) -> Figure:
        """The figure that is always there."""
        return self.figures[0]


def perplexity(loss: float) -> float:
    """Tell a loss in nats per token as a perplexity; infinite where no number holds it."""
    return math.exp(loss) if loss < 700 else math.inf
