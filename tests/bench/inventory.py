"""A simulation on paper: an advice over a made-up inventory of 1,000 devices on many machines, of many kinds.

Goals: a plan in at most 1 s, at most 200 MB of memory for the whole process.
"""

from __future__ import annotations

import random
import resource
import statistics
import sys
import time
import tracemalloc
from collections.abc import Sequence

import msgspec
import psutil

from pegbox_hardware.alike import Seat
from pegbox_hardware.gpu import Gpu, Holder
from pegbox_methods.advice.places import places_in
from pegbox_methods.advice.records import Advice
from pegbox_methods.registry import all_cards
from tests.methods.advice_situations import PROFILES, ask, model_1b5, model_8b, model_70b, rows

GIB = 2**30
DEVICES = 1000
LIMIT_SECONDS = 1.0
LIMIT_MB = 200.0
ROUNDS = 5
KINDS = (
    ("NVIDIA GeForce RTX 4090", 24, "8.9", 4, None),
    ("NVIDIA GeForce RTX 3090", 24, "8.6", 4, None),
    ("NVIDIA A100-SXM4-80GB", 80, "8.0", 4, 12),
    ("NVIDIA H100 80GB HBM3", 80, "9.0", 5, 18),
    ("Tesla T4", 15, "7.5", 3, None),
    ("NVIDIA L4", 23, "8.9", 4, None),
)
"""Name, GiB, compute capability, generation of PCIe, links of NVLink."""


def inventory(devices: int, seed: int = 7) -> list[Seat]:
    """Make machines of one to eight devices; some are used by others, a few can't be read."""
    chance = random.Random(seed)  # noqa: S311
    seats: list[Seat] = []
    while len(seats) < devices:
        name, size, capability, pcie, nvlinks = chance.choice(KINDS)
        host = f"node-{len(seats):04}"
        for index in range(min(chance.choice((1, 2, 4, 8, 8)), devices - len(seats))):
            used = chance.random() < 0.2
            free = None if chance.random() < 0.02 else int(size * GIB * (chance.uniform(0.1, 0.6) if used else 0.98))
            card = Gpu(
                index=index,
                name=name,
                uuid=f"GPU-{len(seats):04}",
                memory_total=size * GIB,
                memory_free=free,
                compute_capability=capability,
                pcie_generation=pcie,
                pcie_lanes=16,
                nvlinks=nvlinks,
                holders=(Holder(pid=1, name="python3", memory=None),) if used else (),
            )
            seats.append(Seat(host, card))
    return seats


def planned(seats: Sequence[Seat], model: str) -> Advice:
    """Plan for one model over all of them."""
    shape = {"1.5b": model_1b5(), "8b": model_8b(), "70b": model_70b()}[model]
    return ask(places_in(seats, PROFILES), shape, rows(), all_cards()[0])


def main() -> None:
    seats = inventory(DEVICES)
    worst = 0.0
    for model in ("1.5b", "8b", "70b"):
        spent = []
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            advice = planned(seats, model)
            spent.append(time.perf_counter() - begin)
        worst = max(worst, statistics.median(spent))
        plan = advice.devices
        told = "one device" if plan is None else f"{plan.processes} by {plan.engine} on {plan.nodes} machines"
        size = len(msgspec.json.encode(advice)) / 1e3
        print(f"{model:>5}: {told} of {advice.place.name}, {statistics.median(spent):.3f} s, {size:.0f} kB of JSON")
    # Some sandboxes count no peak; what Python holds at most is traced then, beside what it began with.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    resident = psutil.Process().memory_info().rss
    tracemalloc.start()
    planned(inventory(DEVICES), "8b")
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    memory = (peak if peak >= resident else resident + held) / 1e6
    print(f"plan over {DEVICES} devices {worst:.3f} s (slowest median of {ROUNDS}), limit {LIMIT_SECONDS:g} s")
    print(
        f"memory of the process {memory:.0f} MB ({held / 1e6:.1f} MB of it the inventory and its plan), "
        f"limit {LIMIT_MB:.0f} MB"
    )


if __name__ == "__main__":
    main()
