"""What several processes take of their machine's RAM while each of them reads the base model."""

from __future__ import annotations

import msgspec

from pegbox_hardware.forecast.setup import WIDTH, NumberFormat, TrainingSetup
from pegbox_hardware.forecast.static import packed_bytes
from pegbox_hardware.shape import ModelShape

GIB = 2**30
PROCESS_LOW, PROCESS, PROCESS_HIGH = 0.3 * GIB, 1.0 * GIB, 2.5 * GIB
"""Of a process that trains, without any model: Python and its libraries, and what a card's driver keeps beside them.
0.33 GiB were measured after all imports, on a machine without a GPU; the rest is a rule of thumb."""
COPY_HIGH = 1.1
"""Times the weights that a process may hold that converts or packs them: SmolLM2 in bfloat16 from a file in fp32 took
1.01 times as much at its peak, packed into 4 bits 27 MiB more than its 107 MiB."""
MAPPED_HIGH = 0.05
"""Share of the weights that a process may hold of its own where it takes them as they lie in the files; 0.01 seen."""
MEASURED = (
    "measured with SmolLM2: the memory of its own of a process that loads it (transformers 5.23, safetensors 0.8)"
)


class HostMemory(msgspec.Struct, frozen=True, kw_only=True):
    """RAM that the processes of one machine hold together when they hold most of it. Bytes.

    Pages of the model's files aren't in it: all processes share them, and the kernel drops them where room is short.
    """

    processes: int
    """On that machine."""
    bytes: int
    low_bytes: int
    high_bytes: int
    base_bytes: int
    """What each of them is likely to hold of the base model."""
    when: str = "while they load"
    why: str
    """A clause."""
    source: str

    def lacks(self, total_bytes: int) -> bool:
        """Tell whether a machine of so much RAM can't hold it, even at the low end."""
        return self.low_bytes > total_bytes

    def may_lack(self, free_bytes: int) -> bool:
        """Tell whether so much free RAM may be too little."""
        return self.high_bytes > free_bytes


def host_memory(shape: ModelShape, setup: TrainingSetup, *, nodes: int = 1) -> HostMemory:
    """Forecast for processes that train on GPUs, as many on each of so many machines.

    safetensors maps a file into memory, and transformers converts a tensor only where its format or device isn't the
    wanted one: weights that are taken as they are lie in pages that all processes share. DDP's processes read packed
    weights straight to their card; FSDP2's pack them in RAM, since no card might hold all.
    Source: transformers' `_materialize_copy` (core_model_loading.py); Accelerate's fsdp2_prepare_model, which without
    `cpu_ram_efficient_loading` has each process read the whole.
    """
    here = max(1, setup.processes // nodes)
    low, likely, high, why = _base(shape, setup)
    return HostMemory(
        processes=here,
        bytes=round(here * (PROCESS + likely)),
        low_bytes=round(here * (PROCESS_LOW + low)),
        high_bytes=round(here * (PROCESS_HIGH + high)),
        base_bytes=round(likely),
        why=why,
        source=MEASURED,
    )


def _base(shape: ModelShape, setup: TrainingSetup) -> tuple[float, float, float, str]:
    """Give what one process holds of the base model: (at best, likely, at worst, why)."""
    if not (setup.quantized and shape.quantizable):
        return _read(shape, shape.weights, setup.dtype)
    if not setup.sharded:
        largest = float(shape.vocabulary * shape.hidden * WIDTH[setup.dtype])
        return 0.0, 0.0, largest, "each packs the base model on its card, tensor by tensor"
    low, likely, high, _ = _read(
        shape, shape.weights - shape.linear_weights, "fp32" if setup.kbit_casts else setup.dtype
    )
    packed = packed_bytes(shape.linear_weights, setup)
    why = "each packs the whole base model into 4 bits in RAM, before its part goes to its card"
    return packed + low, packed + likely, COPY_HIGH * packed + high, why


def _read(shape: ModelShape, weights: int, wanted: NumberFormat) -> tuple[float, float, float, str]:
    """Price weights that aren't packed, in the format that is wanted of them."""
    whole = float(weights * WIDTH[wanted])
    if shape.stored is None:
        return 0.0, whole, COPY_HIGH * whole, "its config.json doesn't say in which format its weights are stored"
    if shape.stored != wanted:
        return whole, whole, COPY_HIGH * whole, f"each converts the weights from {shape.stored} to {wanted} in its RAM"
    stacked = float(shape.expert_weights * WIDTH[wanted])  # transformers stacks experts that lie apart in the files
    high = COPY_HIGH * stacked + MAPPED_HIGH * (whole - stacked)
    return 0.0, stacked, high, f"all share the pages of the files, whose weights are {wanted} already"
