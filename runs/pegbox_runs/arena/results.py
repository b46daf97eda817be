"""results.json: what a comparison found, as a record; every table, chart and screen is made from it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from pegbox_methods.events import UNDECODABLE
from pegbox_methods.recipe import Metric
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.whole_file import write_whole

FORM = 1
Standing = Literal["waiting", "running", "done", "part", "failed"]
Axis = Literal["loss", "memory", "time", "size", "forgetting"]
"""Less is better on each: held-out loss, peak memory, training time, adapter's bytes, what was forgotten."""


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """A figure with the range in which it lies with 95 % confidence; without one where it was measured once."""

    value: float
    """The measured one: mostly a mean over seeds."""
    low: float | None = None
    """None: it has no range."""
    high: float | None = None
    """None: it has no range."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One try of a learning rate."""

    rate: float
    """Peak learning rate."""
    steps: int
    """Optimizer steps."""
    loss: float | None
    """On the rows that choose, in nats per token; None: it has none."""
    why: str = ""
    """Why it has none: `diverged`, or the failure's own words."""


class SeedResult(msgspec.Struct, frozen=True, kw_only=True):
    """One training that counts."""

    seed: int
    """Of the order of rows and of all chance in the training."""
    entry: str
    """Its id: the name of its folder in `entries`."""
    recipe: str
    """A file in the comparison's folder from which `pegbox train` repeats it."""
    loss: float
    """On the rows of the verdict, in nats per token, after the last step."""
    loss_all: float
    """On all held-out rows: the run's own evaluation of the same weights, added up in another order, so that the two
    agree to about a millionth, not to the bit."""
    kept_step: int
    """After which optimizer step the kept weights were."""
    general: float | None = None
    """Loss on the general rows after the training."""
    scores: dict[Metric, float] = {}
    """Means over the answered rows."""
    device_peak: int | None = None
    """Most bytes reserved on the device; None on a CPU."""
    process_peak: int | None = None
    """Most resident bytes of the process: an upper bound of what this training took. One process carries many, and what
    libraries kept of those before counts too."""
    training_seconds: float
    """Sum of the steps' seconds."""
    wall_seconds: float
    """From its start to its end, loading and judging too."""
    tokens_per_second: float
    """Trained on, without padding, in a second of training."""
    changed: tuple[str, ...] = ()
    """What memory made it change on the way."""
    curve: tuple[tuple[int, float], ...] = ()
    """(step, loss on all held-out rows)."""


class ContestantResult(msgspec.Struct, frozen=True, kw_only=True):
    """One contestant. Means are over its seeds."""

    name: str
    """A method's, or one that the person gave."""
    method: str
    """Its method's name."""
    settings: dict[str, Any]
    """Of the method, as its recipe has them."""
    standing: Standing
    """`part`: some seeds are done; `done`: all; `failed`: it takes no further part."""
    why: str = ""
    """Of what failed."""
    out_of_memory: bool = False
    """It failed for memory, after all re-planning."""
    place: int | None = None
    """From 1, by loss; those that are tied share their group's first one's. None: it isn't ranked, or not yet."""
    group: int | None = None
    """From 1: members of one group can't be told apart from its first. None: nothing can be told yet."""
    rate: float | None = None
    """Peak learning rate that its trainings have."""
    rate_by: Literal["recipe", "search", "search-edge"] = "recipe"
    """Whose choice that was; `search-edge`: the lowest or highest that was tried, a better one may lie beyond."""
    trials: tuple[Trial, ...] = ()
    """Of the search for its learning rate, in the order in which they were due."""
    seeds: tuple[SeedResult, ...] = ()
    """Those that are done."""
    loss: Interval | None = None
    """On the rows of the verdict, over the seeds that are compared. None: it isn't compared with the others."""
    base_loss: float | None = None
    """Of its own base model on the same rows, before the training: packed where the method packs it."""
    change: Interval | None = None
    """Its loss less that of its own base model: below 0 where the training helped."""
    forgetting: Interval | None = None
    """Loss on the general rows after the training less that before."""
    scores: dict[Metric, Interval] = {}
    """Of its answers, each from 0 to 1."""
    base_scores: dict[Metric, float] = {}
    """The same of its own base model, before the training."""
    device_peak: int | None = None
    """Bytes. Highest of the seeds that are compared; of all that are done where it isn't compared."""
    process_peak: int | None = None
    """Bytes. Highest of the same seeds. An upper bound only, which hangs on the order of the trainings."""
    training_seconds: Interval | None = None
    """Of one training, over the same seeds."""
    tokens_per_second: Interval | None = None
    """Trained on, without padding, in a second of training, over the same seeds."""
    adapter_bytes: int | None = None
    """What its adapter takes on the disk."""
    trainable_weights: int | None = None
    """How many weights are trained."""
    remarks: tuple[str, ...] = ()
    """What people should know before they believe its figures."""


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two contestants on the same rows: the first of a group, and one that came behind it."""

    one: str
    """The group's first, which has the lower loss."""
    other: str
    """One that came behind it."""
    difference: Interval
    """The one's loss less the other's, in nats per token, over the same rows and seeds. Its range holds at 95 % for
    this pair alone."""
    told_apart: bool
    """Whether that can't be chance, at 95 % for all who were compared with the one together: where they are many, even
    a range without zero may be chance."""


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """The base model, untrained: row zero."""

    loss: float
    """On the rows of the verdict, in nats per token."""
    general: float | None = None
    """Loss on the general rows."""
    scores: dict[Metric, float] = {}
    """Of its answers, each from 0 to 1."""


class Pareto(msgspec.Struct, frozen=True, kw_only=True):
    """Those that no other beats on all axes at once, of those that are better than their own base model."""

    axes: tuple[Axis, ...]
    """What they are compared on: loss, memory and time where all who are ranked have a `device_peak`, else loss, time
    and size."""
    front: tuple[str, ...]
    """Contestants' names."""


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """How many held-out rows say what."""

    held_out: int
    """All of them."""
    choosing: int
    """Of them, those that chose learning rates, and are left out of the verdict; 0: none were set aside."""
    deciding: int
    """Those of the verdict."""
    general: int | None = None
    """Rows of another task; None: there are none."""
    answered: int | None = None
    """Questions that were answered for the metrics; None: there are none."""


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """The whole record."""

    form: int = FORM
    """Number of this record's form; it rises when a field changes its meaning."""
    comparison: str
    """The comparison's id."""
    complete: bool
    """Whether nothing is left to run."""
    made: float
    """When this was written: seconds since 1970 in UTC."""
    version: str
    """Of Pegbox."""
    machine: str
    """Its processor; empty where that isn't known."""
    device: str | None = None
    """Where it was trained, as torch names it."""
    model: str
    """The base model, as the recipes name it."""
    rows_file: str
    """The rows, as the recipes name them."""
    rows: Rows | None = None
    """None: nothing is judged yet."""
    seeds: tuple[int, ...]
    """Each contestant is trained once with each."""
    compared_seeds: tuple[int, ...] = ()
    """Those that all who are ranked have done: the means and ranges of their losses are over these, and
    so are those of their time, tokens per second and memory."""
    steps: int | None = None
    """Of each training that counts."""
    effective_batch: int
    """Rows in an optimizer step, the same for all."""
    length: int
    """Most tokens of a row."""
    search: bool
    """Whether each contestant's learning rate was looked for."""
    budget: str = ""
    """As it was asked for, for people; empty: none."""
    wall_seconds: float = 0.0
    """Sum over the entries."""
    base: Base | None = None
    """None: nothing is judged yet."""
    contestants: tuple[ContestantResult, ...]
    """By loss, the lowest first; then those that aren't compared. A noisy one may be tied with the first and still
    stand behind one that is told apart from it."""
    pairs: tuple[Pair, ...] = ()
    """The first of each group with all that came behind it."""
    groups: tuple[tuple[str, ...], ...] = ()
    """Contestants' names: each group's first, and those that can't be told apart from it."""
    winner: str | None = None
    """Who is better than every other, if it can be told."""
    pareto: Pareto | None = None
    """None: nobody is ranked yet, or nobody is better than its own base model."""
    recommendation: str = ""
    """One or a few sentences that say what they rest on."""
    remarks: tuple[str, ...] = ()
    """What people should know before they believe it."""


def results_schema() -> dict[str, Any]:
    """Give the JSON schema of results.json."""
    return msgspec.json.schema(Results)


def write_results(results: Results, folder: ComparisonFolder) -> None:
    """Write the record, whole. Raises: OSError."""
    write_whole(folder.results, msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n")


def read_results(folder: ComparisonFolder) -> Results | None:
    """Read it; None: nothing is known yet, or the file isn't whole."""
    try:
        return msgspec.json.decode(folder.results.read_bytes(), type=Results)
    except (OSError, *UNDECODABLE):
        return None
