"""A row of the hardware-profile table: a policy for a kind of accelerator, or a card with its speeds."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from pegbox_hardware.forecast.setup import Optimizer

GIB = 2**30
MIB = 2**20
Accelerator = Literal["cuda", "rocm", "mps", "cpu"]
Evidence = Literal["measured", "vendor", "paper", "estimate"]
Method = Literal["lora", "rslora", "qlora", "dora", "adalora", "full"]
Capability = tuple[int, int]
"""Major and minor compute capability, as torch.cuda.get_device_capability gives it; (0, 0) where there is none."""
Positive = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Month = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]
Count = Annotated[int, msgspec.Meta(gt=0)]
Text = Annotated[str, msgspec.Meta(min_length=1)]


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a row's figures come from."""

    kind: Evidence
    where: Text
    when: Month


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to try first on one class of accelerator, in a range of compute capability and of memory."""

    name: Text
    accelerator: Accelerator
    capability_from: Capability
    capability_below: Capability | None = None
    """First capability that is out; None: no upper bound."""
    memory_from_gib: Annotated[float, msgspec.Meta(ge=0)]
    memory_below_gib: float | None = None
    """First memory size that is out, in GiB as the driver reports it; None: no upper bound."""
    dtype: Literal["bf16", "fp16", "fp32", "auto"]
    """auto: the worker decides by the processor's instructions."""
    attention_kernel: Literal["flash", "efficient", "math"]
    """The one that torch's scaled_dot_product_attention picks there."""
    methods: Annotated[tuple[Method, ...], msgspec.Meta(min_length=1)]
    """Order in which to try them."""
    rank_ceiling: Count
    length: Count
    """Default for the longest sequence, in tokens."""
    checkpointing: bool
    optimizer: Optimizer
    margin: Share
    """Share of the memory that stays free above the safe forecast."""
    source: Source

    def covers(self, capability: Capability, memory_gib: float) -> bool:
        """Whether both lie in its ranges (from: included, below: excluded)."""
        return (
            self.capability_from <= capability
            and (self.capability_below is None or capability < self.capability_below)
            and self.memory_from_gib <= memory_gib
            and (self.memory_below_gib is None or memory_gib < self.memory_below_gib)
        )


class CardRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One card (or one core of a processor) as its size and its speeds. Rates are dense, with fp32 accumulation."""

    name: Text
    names: tuple[Text, ...] = ()
    """Further spellings, of drivers and of people; case and vendor don't matter."""
    accelerator: Accelerator
    capability: Capability | None = None
    gfx: str | None = None
    """AMD's name of the instruction set."""
    memory_gib: Positive
    driver_mib: Count | None = None
    """Total that the driver reports, where known."""
    bandwidth_gbs: Positive
    """Memory bandwidth in GB/s (1e9)."""
    bf16_tflops: Positive | None = None
    """None: no hardware for it."""
    fp16_tflops: Positive | None = None
    fp32_tflops: Positive
    """Without TF32, as torch computes unless told otherwise."""
    board_watts: Positive
    shared_margin: Share = 0.0
    """Share of the memory to keep free beside a policy's margin, because a desktop or a system takes some."""
    unified: bool = False
    """The memory is the system's."""
    per_core: bool = False
    """Speeds and power are those of one core; `with_cores` scales them."""
    source: Source

    @property
    def memory_bytes(self) -> int:
        """The driver's total where known, else the nominal size."""
        return self.driver_mib * MIB if self.driver_mib else int(self.memory_gib * GIB)

    def with_cores(self, cores: int) -> CardRow:
        """Scale one core's figures to a processor; a card stays as it is. Memory bandwidth ends at a socket's
        twelve channels, which eight cores fill.

        Raises: ValueError: fewer than one core.
        """
        if cores < 1:
            raise ValueError(f"a processor has at least one core, not {cores}")
        if not self.per_core:
            return self
        return msgspec.structs.replace(
            self,
            bandwidth_gbs=self.bandwidth_gbs * min(cores, 8),
            bf16_tflops=self.bf16_tflops and self.bf16_tflops * cores,
            fp16_tflops=self.fp16_tflops and self.fp16_tflops * cores,
            fp32_tflops=self.fp32_tflops * cores,
            board_watts=self.board_watts * cores,
            per_core=False,
        )


class LinkRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A way from one device to another. GB/s (1e9) one way, as NCCL's bus bandwidth counts; of a link of NVLink, of 16
    lanes of PCIe, of the whole network of a machine."""

    name: Text
    kind: Literal["nvlink", "pcie", "network", "memory"]
    generation: int | None = None
    """Of PCIe; None: it isn't known."""
    capability_from: Capability | None = None
    """NVLink: of the first cards that have it so, until another row begins."""
    gbs_low: Positive
    gbs: Positive
    gbs_high: Positive
    hop_us: Annotated[float, msgspec.Meta(ge=0)]
    """Microseconds from a device to the next, beside its bytes."""
    source: Source

    def times(self, share: float, name: str) -> LinkRow:
        """Give a link of so many times the speed."""
        return msgspec.structs.replace(
            self, name=name, gbs_low=self.gbs_low * share, gbs=self.gbs * share, gbs_high=self.gbs_high * share
        )


NOISE = frozenset(
    ("nvidia", "amd", "apple", "corporation", "geforce", "tesla", "instinct", "radeon", "gpu", "generation", "tm", "r")
)
"""Words of a card's name that no two cards differ by."""


def plain(name: str) -> str:
    """Reduce a card's name to what tells cards apart: "NVIDIA GeForce RTX 4090" and "rtx4090" are one."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    kept = "".join(word for word in words if word not in NOISE)
    # People leave "RTX" and "GTX" out or glue them on; the numbers behind them don't repeat.
    return re.sub(r"^(?:geforce)?(?:rtx|gtx|rx)(?=\d{4})", "", kept)
