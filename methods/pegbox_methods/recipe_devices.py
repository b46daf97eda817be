"""The recipe's table of devices: how many processes carry a run together, and by which engine."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from pegbox_methods.recipe_fields import Part

Engine = Literal["auto", "ddp", "fsdp2"]
MOST_PROCESSES = 4096


class Devices(Part, frozen=True):
    """What carries the run. It changes how fast a step is, not what it computes."""

    processes: Annotated[
        int,
        Meta(
            ge=1,
            le=MOST_PROCESSES,
            description="Processes that carry the run together, each on a GPU of its own, or on its part of a "
            "processor's cores. They part training.accumulation among them, so the effective batch stays.",
            extra_json_schema={"unit": "processes"},
        ),
    ] = 1
    engine: Annotated[
        Engine,
        Meta(
            description="'ddp': each process holds the whole base model. 'fsdp2': each holds a part of it, and gets "
            "the rest layer by layer; on GPUs alone. 'auto': 'ddp' where there are several processes."
        ),
    ] = "auto"

    @property
    def launched(self) -> bool:
        """Tell whether a launcher starts the run's processes; else its worker is the only one."""
        return self.processes > 1 or self.engine != "auto"

    @property
    def shards(self) -> bool:
        """Tell whether no process holds the whole base model."""
        return self.engine == "fsdp2"
