"""Made-up runs of several processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from pegbox_methods.events import AcrossRanks, AnyEvent, Joined, Member, Memory, Prepared, RankFailed, Step
from tests.stories import STORY, step

GIB = 2**30
CARD = "NVIDIA A10"


def member(rank: int, host: str = "node-a", device: str | None = None) -> Member:
    """Make one process of several; it has a GPU, unless told."""
    return Member(rank=rank, host=host, pid=100 + rank, device=device or f"cuda:{rank} ({CARD})")


def joined(*members: Member, engine: Literal["ddp", "fsdp2"] = "ddp") -> Joined:
    """Let them meet: two on one machine, unless told."""
    return Joined(engine=engine, members=members or (member(0), member(1)), seconds=3.2)


def across(step: Step, *, worst: float = 0.48, waited: float = 0.02, device: bool = True) -> Step:
    """Tell of a step how two processes differ: the slower one's share of the tokens, and of the step's seconds."""
    peak = step.memory.device_peak if device else None
    return msgspec.structs.replace(
        step,
        across=AcrossRanks(
            tokens_per_second_worst=worst * step.tokens_per_second,
            tokens_per_second_mean=step.tokens_per_second / 2,
            device_peak_mean=None if peak is None else peak - GIB // 2,
            process_peak_mean=None if step.memory.process_peak is None else step.memory.process_peak // 2,
            waited_seconds=waited * step.step_seconds,
        ),
    )


def failed(rank: int, *, first: bool = False, host: str = "node-a", at: int = 3) -> RankFailed:
    """Let a process fail, or lose the one that did."""
    what = "it was killed from outside" if first else "its connection to another process broke"
    return RankFailed(
        rank=rank, host=host, pid=100 + rank, what=what, first=first, step=at, signal="SIGKILL" if first else None
    )


def told_together(story: Sequence[AnyEvent] = STORY, *, first: Joined | None = None) -> list[AnyEvent]:
    """Have two processes carry a run that was told of one."""
    events: list[AnyEvent] = []
    for event in story:
        if isinstance(event, Prepared):
            event = msgspec.structs.replace(event, processes=2)
            events.append(first or joined())
        events.append(across(event) if isinstance(event, Step) else event)
    return events


def cpu_steps(count: int, **changes: float) -> list[Step]:
    """Take steps on a processor, two processes at once."""
    memory = Memory(process_now=2 * GIB, process_peak=3 * GIB)
    plain = [msgspec.structs.replace(step(number), memory=memory) for number in range(1, count + 1)]
    return [across(one, device=False, **changes) for one in plain]
