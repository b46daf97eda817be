"""What several processes tell one another in a step, over which link, and what of it isn't hidden behind computing."""

from __future__ import annotations

import msgspec

from pegbox_hardware.forecast.setup import WIDTH, TrainingSetup
from pegbox_hardware.forecast.shares import base_bytes
from pegbox_hardware.profile_rows import LinkRow
from pegbox_hardware.shape import ModelShape

BUCKET_BYTES = 25 * 2**20
"""DDP sends gradients in buckets of that size. Source: `bucket_cap_mb` of DistributedDataParallel."""
BACKWARD_SHARE = 0.6
"""Of a micro-batch's time, during which DDP sends what is ready: the backward pass. Source: rule of thumb, about two
forward passes' arithmetic, and one more in it with checkpointing."""
HIDDEN = {"low": 0.0, "likely": 0.5, "high": 1.0}
"""Share of the communication that is hidden behind computing, as far as there is computing to hide it."""
IN_STEP = {"low": 0.85, "likely": 0.95, "high": 1.0}
"""Of each process' time it isn't waiting for the one whose rows are longest. Source: rule of thumb; rows grouped by
length differ little."""


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What each device sends, and receives as much."""

    micro_batch_bytes: float
    """For each micro-batch: the base's weights under FSDP2, nothing under DDP."""
    step_bytes: float
    """Once in an optimizer step: the gradients."""
    micro_batch_calls: float
    step_calls: float
    """Collectives."""


class Communication(msgspec.Struct, frozen=True, kw_only=True):
    """An optimizer step's communication. Bytes that one device sends, and the seconds of all of it."""

    bytes: float
    seconds: float
    seconds_low: float
    seconds_high: float
    link: str
    source: str


def exchange_of(shape: ModelShape, setup: TrainingSetup, trainable_weights: int) -> Exchange:
    """Count what each device sends.

    A ring's all-reduce has every device send 2 (P - 1) / P of the bytes; gathering, or summing and parting, half that.
    FSDP2 gathers the base twice in a micro-batch, for the forward and for the backward pass.
    Source: NCCL's performance notes (nccl-tests, doc/PERFORMANCE.md); arXiv:2004.13336; torch's fully_shard.
    """
    count = setup.processes
    share = (count - 1) / count
    gradients = float(trainable_weights * WIDTH[setup.dtype if setup.full else setup.adapter_dtype])
    if not setup.sharded:
        buckets = max(1.0, gradients / BUCKET_BYTES)
        return Exchange(
            micro_batch_bytes=0.0, step_bytes=2 * share * gradients, micro_batch_calls=0.0, step_calls=buckets
        )
    adapter = 0.0 if setup.full else trainable_weights * WIDTH[setup.adapter_dtype]
    units = shape.layers + 1
    return Exchange(
        micro_batch_bytes=2 * share * (base_bytes(shape, setup) + adapter),
        step_bytes=share * gradients,
        micro_batch_calls=2.0 * units,
        step_calls=float(units),
    )


def communication_of(exchange: Exchange, setup: TrainingSetup, link: LinkRow) -> Communication:
    """Say how long a step's communication takes over a link, whether or not computing hides it."""
    slow, likely, fast = (sum(seconds_of(exchange, setup, link, end)) for end in ("low", "likely", "high"))
    source = link.source
    return Communication(
        bytes=exchange.step_bytes + setup.accumulation * exchange.micro_batch_bytes,
        seconds=likely,
        seconds_low=fast,
        seconds_high=slow,
        link=link.name,
        source=f"{source.kind}, {source.where} ({source.when})",
    )


def seconds_of(exchange: Exchange, setup: TrainingSetup, link: LinkRow, end: str) -> tuple[float, float]:
    """Give the seconds of communication in an optimizer step: (of its micro-batches, of its gradients)."""
    rate = 1e9 * {"low": link.gbs_low, "likely": link.gbs, "high": link.gbs_high}[end]
    hops = link.hop_us * 1e-6 * (setup.processes - 1)
    each = exchange.micro_batch_bytes / rate + exchange.micro_batch_calls * hops
    return setup.accumulation * each, exchange.step_bytes / rate + exchange.step_calls * hops


def step_seconds(
    micro_batch: float, exchange: Exchange, setup: TrainingSetup, link: LinkRow, *, device: str, wire: str
) -> float:
    """Give the seconds of an optimizer step that all processes take together.

    `micro_batch`: seconds of one, of a process that is alone; `device` and `wire`: which end of what the device and
    the link reach is meant, low, likely or high.
    """
    computing = setup.accumulation * micro_batch / IN_STEP[device]
    throughout, at_end = seconds_of(exchange, setup, link, wire)
    hidden = min(throughout, computing) + min(at_end, BACKWARD_SHARE * micro_batch)
    return computing + throughout + at_end - HIDDEN[wire] * hidden
