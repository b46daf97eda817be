"""What the device says: heat, power, memory, and whether it has enough to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pegbox_methods.events import Load
from pegbox_runs.hints.hint import Hint, mean, percent

if TYPE_CHECKING:
    from pegbox_runs.run_state import RunState

GIB = 2**30
NVML = "NVML API reference, docs.nvidia.com/deploy/nvml-api"
AMDGPU = "the amdgpu driver's figures, docs.kernel.org/gpu/amdgpu/thermal.html and driver-misc.html"
POWER = {"nvidia": " (`nvidia-smi -pl`)", "amd": " (`amd-smi set --power-cap`)"}
"""What lowers the power limit, by the card's maker."""
LEAST_LOADS = 6
"""Half a minute of readings."""
LEAST = 20
IDLE = 0.5
NEAR_C = 3
"""Degrees below the card's own limit: it lowers its clocks from there on."""
AT_LIMIT = 0.97
"""Of the power limit: the driver's figure sways by some per cent."""
FULL = 0.97
"""Of the memory: a longer row than any before may not fit."""
HALF = 0.45
"""Of the memory: with twice the rows, activations at most double, and this stays below nine tenths."""
EARLY = (20, 219)
"""Steps whose pace is the usual one: behind the first ones, which load kernels, and before the card is warm."""
NEWEST = 200
SLOWER = 0.8


def memory_nearly_full(state: RunState) -> Hint | None:
    """The card has nothing left for a longer row."""
    load = _running(state)
    if load is None or not load.memory_total or load.memory_used is None or load.memory_used < FULL * load.memory_total:
        return None
    return Hint(
        name="memory-nearly-full",
        level="look",
        text=f"{load.memory_used / GIB:.1f} of the card's {load.memory_total / GIB:.1f} GiB are taken. Should it run "
        "out, the run goes on from its last checkpoint with a smaller micro-batch, unless recovery.out_of_memory says "
        "otherwise.",
        source=f"{_driver(load)}: memory in use; what all processes hold, not this run alone.",
    )


def memory_to_spare(state: RunState) -> Hint | None:
    """A larger micro-batch would fit, at the same effective batch."""
    load, prepared = _running(state), state.prepared
    if load is None or prepared is None or not load.memory_total or load.memory_used is None:
        return None
    rows, times = prepared.micro_batch, prepared.accumulation
    if not rows or not times or times % (2 * max(prepared.processes, 1)) or state.steps_done < LEAST:
        return None
    used = max(load.memory_used, state.peak.device_peak or 0)
    if used > HALF * load.memory_total:
        return None
    return Hint(
        name="memory-to-spare",
        level="look",
        text=f"{used / GIB:.1f} of {load.memory_total / GIB:.1f} GiB are taken. training.micro_batch {2 * rows} with "
        f"training.accumulation {times // 2} is the same experiment and likely faster; next time, or continue so.",
        source="Activations grow with the rows of a micro-batch, and nothing else does: twice the rows at most double "
        "the memory.",
    )


def hot(state: RunState) -> Hint | None:
    """The card is about to slow itself down."""
    load = _running(state)
    if load is None or load.temperature_c is None or load.temperature_limit_c is None:
        return None
    if load.temperature_c < load.temperature_limit_c - NEAR_C:
        return None
    return Hint(
        name="hot",
        level="act",
        text=f"The card has {load.temperature_c:.0f} degrees Celsius and slows itself down at "
        f"{load.temperature_limit_c:.0f}. See to its air; a lower power limit{POWER.get(load.maker or '', '')} costs "
        "little speed.",
        source=f"{_driver(load)}: the card's own threshold.",
    )


def at_power_limit(state: RunState) -> Hint | None:
    """The card gives what its power limit lets it."""
    loads = [load for load in state.loads if load.power_w is not None and load.power_limit_w]
    if _running(state) is None or len(loads) < LEAST_LOADS:
        return None
    power, limit = mean([load.power_w or 0.0 for load in loads]), loads[-1].power_limit_w or 0.0
    if power < AT_LIMIT * limit:
        return None
    return Hint(
        name="at-power-limit",
        level="good",
        text=f"The card takes {power:.0f} of the {limit:.0f} W that it may: it is fully used, and its power limit sets "
        "the speed.",
        source=f"{_driver(loads[-1])}: power, and its limit.",
    )


def idle(state: RunState) -> Hint | None:
    """The card has too little to do."""
    uses = [load.device_use for load in state.loads if load.device_use is not None]
    if _running(state) is None or len(uses) < LEAST_LOADS or state.steps_done < LEAST or mean(uses) >= IDLE:
        return None
    rows = None if state.prepared is None else state.prepared.micro_batch
    what = "training.micro_batch" if not rows else f"training.micro_batch {2 * rows} in place of {rows}"
    return Hint(
        name="idle-device",
        level="look",
        text=f"The card computes only {percent(mean(uses))} of the time. Give it more at once ({what}, with half the "
        "accumulation), or look whether the processor is busy with something else.",
        source=f"{_driver(state.load)}: use, the mean of the last {len(uses)} readings.",
    )


def slower(state: RunState) -> Hint | None:
    """The run is slower than it was in its first minutes."""
    if state.over or state.steps_done < EARLY[1] + NEWEST:
        return None
    (before,) = state.speeds.means(*EARLY, 1)
    now = mean(state.speeds.last(NEWEST) or [0.0])
    if not before or now >= SLOWER * before:
        return None
    load = state.load
    heat = "" if load is None or load.temperature_c is None else f" (it has {load.temperature_c:.0f} degrees Celsius)"
    return Hint(
        name="slower",
        level="look",
        text=f"It trains {now:,.0f} tokens a second, and did {before:,.0f} in its first minutes. Look whether the card "
        f"is hot{heat}, or whether another process uses it: `pegbox doctor`.",
        source=f"{_driver(load)}: clocks fall with heat and power; neighbours take their share.",
    )


def _driver(load: Load | None) -> str:
    """Name who tells a card's figures: its maker's driver, or either where the log doesn't say whose card it is."""
    maker = load.maker if load is not None else None
    return {"nvidia": NVML, "amd": AMDGPU}.get(maker or "", f"{NVML}, or {AMDGPU}")


def _running(state: RunState) -> Load | None:
    """Give the newest reading of a run that trains just now."""
    return state.load if state.status == "running" and not state.over else None
