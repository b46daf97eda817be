"""What the threads of the machine step find out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

from pegbox_runs.drafts import PlannedCard

if TYPE_CHECKING:
    from pegbox_hardware.machine import Machine
    from pegbox_methods.advice.records import Place
    from pegbox_runs.finding import Finding


@dataclass(frozen=True)
class Found:
    """All that is known by now."""

    planned: PlannedCard | None = None
    """What was planned for when the look began."""
    machine: Machine | None = None
    place: Place | None = None
    """The device that the draft is for."""
    faster: Place | None = None
    """Another device of this machine, faster and with less room."""
    refusal: str | None = None
    """Why there is no place."""
    judged: tuple[Finding, ...] = ()
    """What the doctor says."""
    torch_answered: bool = False
    """Whether `judged` counts what torch said."""
    paces: tuple[tuple[str, float], ...] = ()
    """Of a processor: (model, tokens a second) that it is forecast to train at."""


@dataclass
class MachineRead(Message):
    """The machine was read. Carries all of it, so that the newest may replace those still queued."""

    found: Found

    def can_replace(self, message: Message) -> bool:
        """Let the newest stand for the earlier ones."""
        return isinstance(message, MachineRead)


@dataclass
class TorchAnswered(Message):
    """Torch was asked what it makes of the machine, and the doctor judged it."""

    judged: tuple[Finding, ...]

    def can_replace(self, message: Message) -> bool:
        """Let the newest stand for the earlier ones."""
        return isinstance(message, TorchAnswered)
