"""The whole of one run, as a record: frozen, typed, with the unit and range of every field."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from pegbox_methods.recipe_devices import Devices, Engine
from pegbox_methods.recipe_fields import BatchRows, Part, Seed, StepCount, Text, share
from pegbox_methods.recipe_rows import Allowed, Column, MixedRows, Rows, RowsFormat, RowSource, Split

__all__ = [
    "Allowed",
    "Column",
    "Devices",
    "Engine",
    "Evaluation",
    "Judging",
    "Method",
    "Metric",
    "MixedRows",
    "Model",
    "Output",
    "Part",
    "Precision",
    "Recipe",
    "Recovery",
    "RowSource",
    "Rows",
    "RowsFormat",
    "Seeds",
    "Split",
    "Training",
]

Precision = Literal["auto", "float32", "bfloat16", "float16"]
Metric = Literal["exact-match", "token-f1", "rouge-l"]


class Model(Part, frozen=True):
    """Which model is tuned."""

    name: Annotated[Text, Meta(description="A folder, a Hub id, or a catalogue name ('bundled').")]
    revision: Annotated[
        Text | None, Meta(description="Branch, tag or commit of a Hub model. Default: its main branch.")
    ] = None
    quantization: Annotated[
        Literal["auto", "none", "nf4"],
        Meta(
            description="How the frozen base is held. 'nf4': its linear maps in 4 bits, doubly quantized. 'auto': as "
            "the method needs it."
        ),
    ] = "auto"
    chat_template: Annotated[
        Text | None,
        Meta(description="A Jinja file to use in place of the tokenizer's own chat template. Default: its own."),
    ] = None


class Method(Part, frozen=True):
    """How it is tuned."""

    name: Annotated[Text, Meta(description="A method's name, as `pegbox methods` lists it.")] = "lora"
    settings: Annotated[
        dict[str, Any],
        Meta(description="The method's own settings; `pegbox methods NAME` lists them with their ranges."),
    ] = field(default_factory=dict)


class Training(Part, frozen=True):
    """How long, how fast, in which portions."""

    epochs: Annotated[
        float,
        Meta(gt=0, le=1000, description="Passes over the training rows.", extra_json_schema={"unit": "epochs"}),
    ] = 2.0
    max_steps: Annotated[
        StepCount | None,
        Meta(description="End after this many optimizer steps, whatever the epochs. Default: no limit."),
    ] = None
    micro_batch: Annotated[BatchRows, Meta(description="Rows that go through the model at once on one device.")] = 4
    accumulation: Annotated[
        int,
        Meta(
            ge=1,
            le=4096,
            description="Micro-batches whose gradients are summed before a step; times micro_batch it is the "
            "effective batch.",
            extra_json_schema={"unit": "micro-batches"},
        ),
    ] = 4
    learning_rate: Annotated[
        Annotated[float, Meta(gt=0, le=10, extra_json_schema={"unit": "per step"})] | None,
        Meta(description="Peak learning rate. Default: the method's own."),
    ] = None
    schedule: Annotated[
        Literal["cosine", "linear", "constant"],
        Meta(description="How the learning rate goes down after the warm-up."),
    ] = "cosine"
    warmup: Annotated[float, share(0.5), Meta(description="Part of the steps in which the rate rises from 0.")] = 0.05
    weight_decay: Annotated[
        float, Meta(ge=0, le=1, description="AdamW's decoupled decay.", extra_json_schema={"unit": "per step"})
    ] = 0.0
    max_gradient_norm: Annotated[
        float,
        Meta(
            gt=0, le=1e6, description="Gradients of a larger norm are scaled to it.", extra_json_schema={"unit": "norm"}
        ),
    ] = 1.0
    length: Annotated[
        int,
        Meta(
            ge=8,
            le=4_194_304,
            description="Longest sequence; what is longer loses its end, and the run says how much that is.",
            extra_json_schema={"unit": "tokens"},
        ),
    ] = 1024
    order: Annotated[
        Literal["grouped", "shuffled", "packed"],
        Meta(
            description="'grouped' shuffles, then puts rows of like length together, which wastes less padding; "
            "'shuffled' only shuffles; 'packed' fills each sequence with several whole rows that don't see each "
            "other, where the model's attention keeps them apart (tried before the run; else 'grouped'); "
            "micro_batch then counts sequences."
        ),
    ] = "grouped"
    optimizer: Annotated[
        Literal["adamw", "adamw_8bit", "paged_adamw_8bit", "adafactor"],
        Meta(description="The 8-bit ones save memory where the optimizer's term matters."),
    ] = "adamw"
    precision: Annotated[
        Precision,
        Meta(
            description="Number format of the computation. 'auto': bfloat16 where the device computes in it (CUDA "
            "capability 8.0 and up, CPUs with avx512_bf16), else float16 on a GPU and float32 on a CPU."
        ),
    ] = "auto"
    activation_checkpointing: Annotated[
        Literal["auto", "on", "off"],
        Meta(
            description="Recompute activations in the backward pass: less memory, 20 to 45 % more time. 'auto': on "
            "for a GPU, off for a CPU."
        ),
    ] = "auto"


class Evaluation(Part, frozen=True):
    """How often the held-out rows are looked at."""

    every: Annotated[
        StepCount | None,
        Meta(
            description="Steps between two evaluations, each with a checkpoint; without held-out rows, between two "
            "checkpoints. The last step has both too. Default: a quarter of the run."
        ),
    ] = None
    keep: Annotated[
        Literal["best", "last"],
        Meta(
            description="Which weights the run ends with. 'best': those of its lowest evaluation. 'last': those of its "
            "last step, as a comparison has them: whoever picks the best of several looks at the held-out rows is "
            "flattered by them, and the more so the more it wanders between looks."
        ),
    ] = "best"
    micro_batch: Annotated[
        BatchRows | None,
        Meta(
            description="Rows that are evaluated at once on one device. Default: training.micro_batch, so that an "
            "evaluation never needs more memory than the training before it."
        ),
    ] = None
    samples: Annotated[
        int,
        Meta(
            ge=0,
            le=100,
            description="Held-out questions that the model answers before the training, after it, and on its way as "
            "`sample_at` says.",
            extra_json_schema={"unit": "rows"},
        ),
    ] = 1
    sample_tokens: Annotated[
        int, Meta(ge=1, le=4096, description="Longest such answer.", extra_json_schema={"unit": "tokens"})
    ] = 64
    sample_at: Annotated[
        Literal["evaluations", "ends"],
        Meta(
            description="When they are answered. 'evaluations': after each evaluation too, which takes some seconds "
            "and changes nothing in the training. 'ends': before and after the training alone."
        ),
    ] = "evaluations"


class Judging(Part, frozen=True):
    """What is written down of the model row by row, before the training and after it, so that runs can be compared."""

    rows: Annotated[
        bool,
        Meta(description="Write the loss of each held-out row, without a method's extra terms, into judged.json."),
    ] = False
    general: Annotated[
        Text | None,
        Meta(
            description="A file of rows that have nothing to do with the task: what their loss rises by was forgotten. "
            "'bundled': those that come with Pegbox. Default: none. Needs `rows`."
        ),
    ] = None
    metrics: Annotated[
        tuple[Metric, ...],
        Meta(
            description="Measures of answers to held-out questions against what the rows say: 'exact-match', "
            "'token-f1', 'rouge-l'. Needs `rows`."
        ),
    ] = ()
    answers: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="Held-out questions that are answered for the measures, the first ones; greedily, of at most "
            "evaluation.sample_tokens tokens.",
            extra_json_schema={"unit": "rows"},
        ),
    ] = 50


class Output(Part, frozen=True):
    """What is kept."""

    checkpoints: Annotated[
        int,
        Meta(
            ge=1,
            le=1000,
            description="Checkpoints kept at most: the best and the newest ones.",
            extra_json_schema={"unit": "checkpoints"},
        ),
    ] = 2
    note: Annotated[str, Meta(max_length=500, description="A remark of yours, kept with the run.")] = ""


class Recovery(Part, frozen=True):
    """What is done by itself when something goes wrong."""

    restarts: Annotated[
        int,
        Meta(
            ge=0,
            le=100,
            description="How often a worker that crashed is started again from the last good checkpoint. The same "
            "error at the same step ends the run whatever is left.",
            extra_json_schema={"unit": "restarts"},
        ),
    ] = 5
    out_of_memory: Annotated[
        Literal["replan", "stop"],
        Meta(
            description="'replan': go on from the last step with settings that need less, at the same effective batch, "
            "and say which. 'stop': end the run and say what would need less."
        ),
    ] = "replan"


class Seeds(Part, frozen=True):
    """Where chance begins."""

    training: Annotated[
        Seed,
        Meta(description="For the adapter's first weights, dropout and the order of rows; set before attaching."),
    ] = 42
    split: Annotated[Seed, Meta(description="For which rows are held out.")] = 42


class Recipe(Part, frozen=True):
    """The whole of one run. The wizard only writes one; `pegbox train` enters with it."""

    model: Model
    rows: Rows
    split: Split = field(default_factory=Split)
    method: Method = field(default_factory=Method)
    training: Training = field(default_factory=Training)
    evaluation: Evaluation = field(default_factory=Evaluation)
    judging: Judging = field(default_factory=Judging)
    output: Output = field(default_factory=Output)
    recovery: Recovery = field(default_factory=Recovery)
    devices: Devices = field(default_factory=Devices)
    seeds: Seeds = field(default_factory=Seeds)

    @property
    def evaluation_batch(self) -> int:
        """Give the rows that are evaluated at once."""
        return self.evaluation.micro_batch or self.training.micro_batch
