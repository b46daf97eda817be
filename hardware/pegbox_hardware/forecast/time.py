"""How long a run takes on a card: a range before the first step, then the measured rate."""

from __future__ import annotations

from typing import Literal

import msgspec

from pegbox_hardware.forecast.communication import Communication, communication_of, exchange_of, step_seconds
from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.forecast.work import Work, work_of
from pegbox_hardware.profile_rows import Accelerator, CardRow, LinkRow
from pegbox_hardware.shape import ModelShape

ENDS = ("low", "likely", "high")
"""Of a range of speeds."""
Bound = Literal["compute", "bandwidth", "launch"]
TimeLevel = Literal["estimated", "measured"]


class Reach(msgspec.Struct, frozen=True):
    """The share of a card's figure that training reaches: at worst, likely, at best."""

    low: float
    likely: float
    high: float


PRODUCTS: dict[Accelerator, Reach] = {
    "cuda": Reach(0.50, 0.72, 1.00),
    "rocm": Reach(0.30, 0.55, 0.85),
    "mps": Reach(0.35, 0.60, 0.90),
    "cpu": Reach(0.45, 0.75, 1.00),
}
"""Of the dense matrix rate. torch reaches, with large square matrices: T4 0.65, V100S 0.68, L40S 0.74, B200 0.75, A100
0.79 to 0.85, H100 and A6000 0.80, 7900 XT 0.80, M3 Max 0.79; a layer's flatter ones lose more. A processor's rate in
the table is a measured one already. Source: github.com/zzc0721/torch-performance-test-data, database.md, 2025-10."""
HALVED_PRODUCTS = Reach(0.60, 0.92, 1.15)
"""The same for cards whose tensor cores run at half rate with fp32 accumulation, so that memory and power keep up:
5090 1.07 to 1.16, 3080 Ti 1.12, 3090 and 4070 SUPER 1.07, 4060 Laptop 1.06, 4090 1.00 (same source)."""
HALVED_RATIO = 2.1
"""Such a card's matrix rate is twice its fp32 rate (four times and more elsewhere)."""
EXPERTS_LOW = 0.8
"""A mixture's low end: each expert sees a few of the tokens, so its products are flatter."""
TRAFFIC: dict[Accelerator, Reach] = {
    "cuda": Reach(0.55, 0.75, 0.92),
    "rocm": Reach(0.40, 0.65, 0.85),
    "mps": Reach(0.40, 0.65, 0.85),
    "cpu": Reach(0.20, 0.35, 0.80),
}
"""Of the memory bandwidth, by elementwise kernels. Copies reach 0.9; a CPU's exp and casts lag its memory."""
LAUNCH_SECONDS: dict[Accelerator, Reach] = {
    "cuda": Reach(12e-6, 6e-6, 3e-6),
    "rocm": Reach(16e-6, 8e-6, 4e-6),
    "mps": Reach(30e-6, 15e-6, 6e-6),
    "cpu": Reach(0.0, 0.0, 0.0),
}
"""The host's time to start one kernel from Python; the device waits where its kernels are shorter."""
UNFUSED_OPTIMIZER = 2.5
"""Times the memory traffic of a fused optimizer that one built of single operations makes (torch's foreach AdamW)."""
SEPARATE = {"low": 1.0, "likely": 1.3, "high": 2.0}
"""Times as fast as one process with all cores of a processor that several are which part them. Threads wait for one
another in every operation, processes once a step: the shorter the operations, the more that is. Measured on two cores,
in tokens a second, two processes of a thread against one of two threads: 4,999 and 2,401 (2 M weights, 4 x 256 tokens),
308 and 159 (SmolLM2-135M under bfloat16 autocast, 2 x 256). By the CPU time of the thread that leads, which sees no
waiting: 1.6 times as many there, 1.44 at 2 x 64, 1.16 at 8 x 256; 1.06 in float32 at 4 x 256, whose long products keep
both threads busy. More cores: not measured. Source: tests/bench/ranks.py.
"""
MEASURED_SPREAD = 0.10
"""Of a rate measured in the run itself: rows differ in length, and clocks fall as the card warms up."""


class TimeForecast(msgspec.Struct, frozen=True, kw_only=True):
    """Speed and duration of a run, each with its range. Tokens are real ones, without padding."""

    tokens_per_second: float
    tokens_per_second_low: float
    tokens_per_second_high: float
    seconds: float
    """Of training and evaluation; loading, tokenizing and saving come on top."""
    seconds_low: float
    seconds_high: float
    bound: Bound
    """What takes most of a step: matrix products, memory traffic, or the host that starts kernels."""
    level: TimeLevel
    flops_per_token: float
    """Arithmetic of one padded token, forward, backward and recomputed."""
    source: str
    communication: Communication | None = None
    """Of a step that several processes take together; the speeds and seconds above count what of it isn't hidden."""


class SpeedUp(msgspec.Struct, frozen=True, kw_only=True):
    """How many times as fast several devices are as one."""

    likely: float
    low: float
    """A fast device that waits for a slow link."""
    high: float


def forecast_time(
    shape: ModelShape,
    setup: TrainingSetup,
    trainable_weights: int,
    card: CardRow,
    *,
    tokens: int,
    padding_share: float = 0.0,
    step_time_ratio: float = 1.0,
    evaluation_tokens: int = 0,
    measured_tokens_per_second: float | None = None,
    row_tokens: float | None = None,
    link: LinkRow | None = None,
) -> TimeForecast:
    """Forecast speed and duration.

    `tokens` counts all real tokens of all epochs, `padding_share` the part of the computed tokens that is padding,
    `row_tokens` the mean length of a padded row (by default every row is as long as `setup.length`);
    `step_time_ratio` is the method's step time against LoRA's; `measured_tokens_per_second` replaces the estimate;
    `link` lies between the processes of the set-up: without it, what they tell one another takes no time.
    Raises: ValueError: a count, share or ratio out of its range; KeyError: the model has no such target.
    """
    _check(tokens, padding_share, step_time_ratio, evaluation_tokens, measured_tokens_per_second, row_tokens)
    work = work_of(shape, setup, trainable_weights)
    rows = setup.micro_batch * (row_tokens or setup.length)
    steps = [_step_seconds(work, setup, card, rows, reach) for reach in ENDS]
    if measured_tokens_per_second is None:
        # The ratio's own range isn't known, so it only shifts ours.
        lane = _Lane(shape, setup, trainable_weights, card, link, step_time_ratio)
        slow, likely, fast = (
            rows * (1 - padding_share) * lane.speed(step.seconds, end, end)
            for step, end in zip(steps, ENDS, strict=True)
        )
        level: TimeLevel = "estimated"
        told = card.source
        source = f"{card.name}: {told.kind}, {told.where} ({told.when}); training reaches a part of that"
    else:
        likely, level, source = measured_tokens_per_second, "measured", "the rate of this very set-up, +-10 %"
        slow, fast = likely * (1 - MEASURED_SPREAD), likely * (1 + MEASURED_SPREAD)
    # An evaluation's token costs its share of a training token, forward only.
    whole = tokens + evaluation_tokens * work.forward_flops_per_token / work.flops_per_token
    return TimeForecast(
        tokens_per_second=likely,
        tokens_per_second_low=slow,
        tokens_per_second_high=fast,
        seconds=whole / likely,
        seconds_low=whole / fast,
        seconds_high=whole / slow,
        bound=steps[1].bound,
        level=level,
        flops_per_token=work.flops_per_token,
        source=source,
        communication=None if link is None else told_over(shape, setup, trainable_weights, link),
    )


def told_over(shape: ModelShape, setup: TrainingSetup, trainable_weights: int, link: LinkRow) -> Communication | None:
    """Say what a step's communication takes over a link; None: one process has nobody to tell anything."""
    if setup.processes == 1:
        return None
    return communication_of(exchange_of(shape, setup, trainable_weights), setup, link)


def speed_up(
    shape: ModelShape,
    alone: TrainingSetup,
    together: TrainingSetup,
    trainable_weights: int,
    card: CardRow,
    link: LinkRow,
    *,
    row_tokens: float | None = None,
    step_time_ratio: float = 1.0,
) -> SpeedUp:
    """Forecast how many times as fast several processes are as one, in rows a second.

    The ends pair a fast device with a slow link, and the other way round.
    """
    rates: list[float] = []
    works = [(setup, work_of(shape, setup, trainable_weights)) for setup in (alone, together)]
    for device, wire in (("high", "low"), ("likely", "likely"), ("low", "high")):
        one, many = (
            setup.micro_batch
            * _Lane(shape, setup, trainable_weights, card, link, step_time_ratio).speed(
                _step_seconds(work, setup, card, setup.micro_batch * (row_tokens or setup.length), device).seconds,
                device,
                wire,
            )
            for setup, work in works
        )
        rates.append(many / one)
    return SpeedUp(low=min(rates), likely=rates[1], high=max(rates))


class _Lane(msgspec.Struct, frozen=True):
    """What turns the seconds of one device's micro-batch into the speed of all of them."""

    shape: ModelShape
    setup: TrainingSetup
    trainable_weights: int
    card: CardRow
    link: LinkRow | None
    step_time_ratio: float

    def speed(self, micro_batch: float, device: str, wire: str) -> float:
        """Give micro-batches a second, over all processes; those of a processor share its cores."""
        setup, seconds = self.setup, micro_batch * self.step_time_ratio
        if setup.processes == 1:
            return 1 / seconds
        if self.card.accelerator == "cpu":
            seconds *= setup.processes / SEPARATE[device]
        whole = setup.accumulation * seconds
        if self.link is not None:
            exchange = exchange_of(self.shape, setup, self.trainable_weights)
            whole = step_seconds(seconds, exchange, setup, self.link, device=device, wire=wire)
        return setup.processes * setup.accumulation / whole


def rate_tflops(card: CardRow, dtype: str, autocast: bool = False) -> float:
    """Give a card's matrix rate in TFLOP/s for a number format.

    Without hardware for the format, the products run at the fp32 rate (emulated bf16 on older cards).
    """
    wanted = {"bf16": card.bf16_tflops, "fp16": card.fp16_tflops, "fp32": card.fp32_tflops}[dtype]
    if dtype == "fp32" and autocast:
        wanted = max(card.bf16_tflops or 0.0, card.fp16_tflops or 0.0)
    return wanted or card.fp32_tflops


class _Step(msgspec.Struct, frozen=True):
    """Seconds of one micro-batch, with its share of the optimizer's step."""

    compute: float
    bandwidth: float
    launch: float

    @property
    def seconds(self) -> float:
        """A device's kernels run one after another, while the host launches ahead of them."""
        return max(self.compute + self.bandwidth, self.launch)

    @property
    def bound(self) -> Bound:
        if self.launch > self.compute + self.bandwidth:
            return "launch"
        return "compute" if self.compute >= self.bandwidth else "bandwidth"


def _step_seconds(work: Work, setup: TrainingSetup, card: CardRow, tokens: float, end: str) -> _Step:
    traffic, launch = (getattr(table[card.accelerator], end) for table in (TRAFFIC, LAUNCH_SECONDS))
    bytes_per_second = card.bandwidth_gbs * 1e9 * traffic
    rate = rate_tflops(card, setup.dtype, setup.autocast)
    halved = card.accelerator == "cuda" and setup.dtype != "fp32" and rate <= HALVED_RATIO * card.fp32_tflops
    product = getattr(HALVED_PRODUCTS if halved else PRODUCTS[card.accelerator], end)
    product *= EXPERTS_LOW if work.experts and end == "low" else 1.0
    arithmetic = work.flops_per_token * tokens / (rate * 1e12 * product)
    # With few tokens the products wait for the weights.
    compute, bandwidth = arithmetic, max(0.0, work.weight_bytes / bytes_per_second - arithmetic)
    bandwidth += (work.traffic_per_token * tokens + work.unpacking_bytes) / bytes_per_second
    optimizer = work.optimizer_bytes * (UNFUSED_OPTIMIZER if end == "low" else 1.0)
    bandwidth += optimizer / bytes_per_second / setup.accumulation
    return _Step(compute, bandwidth, work.kernels * launch)


def _check(
    tokens: int,
    padding_share: float,
    step_time_ratio: float,
    evaluation_tokens: int,
    measured: float | None,
    row_tokens: float | None,
) -> None:
    rules = (
        ("tokens", tokens, tokens >= 0, "0 or more"),
        ("padding_share", padding_share, 0 <= padding_share < 1, "from 0 to below 1"),
        ("step_time_ratio", step_time_ratio, 0 < step_time_ratio < float("inf"), "more than 0"),
        ("evaluation_tokens", evaluation_tokens, evaluation_tokens >= 0, "0 or more"),
        ("measured_tokens_per_second", measured, measured is None or measured > 0, "more than 0"),
        ("row_tokens", row_tokens, row_tokens is None or row_tokens > 0, "more than 0"),
    )
    for name, value, holds, accepted in rules:
        if not holds:
            raise ValueError(f"{name} = {value}: accepted is {accepted}")
