"""What the conformance kit found of a method, as a record: `capabilities.json` holds one for each method."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec

CheckName = Literal[
    "count",
    "start",
    "gradients",
    "own",
    "base",
    "learns",
    "loads",
    "peft",
    "merge",
    "resume",
    "4-bit",
    "checkpointing",
    "bfloat16",
    "optimizer",
    "processes",
]
CHECKS: dict[CheckName, str] = {
    "count": "the footprint's number of trainable weights is exact",
    "start": "begins at the base model's own output",
    "gradients": "every trained tensor gets a gradient by the second step",
    "own": "training changes the method's own weights and nothing else",
    "base": "the base model's own weights are bit-identical before attaching and after training",
    "learns": "the loss falls",
    "loads": "saved and loaded, it gives equal logits",
    "peft": "plain PEFT loads what was saved",
    "merge": "merged into the base model, it gives equal logits",
    "resume": "a resumed run equals an uninterrupted one, bit for bit",
    "4-bit": "trains on a base model packed into 4 bits",
    "checkpointing": "trains with activation checkpointing, to the same gradients",
    "bfloat16": "trains in bfloat16",
    "optimizer": "takes the other optimizers too",
    "processes": "two processes end with the same weights",
}
"""In the order in which they are told."""
Outcome = Literal["passed", "cannot", "failed", "not-applicable"]
"""cannot: the card says so with a reason, and it is refused with that reason."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was tried."""

    name: CheckName
    outcome: Outcome
    detail: str = ""
    """A figure, the card's reason, or what went wrong."""


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """All that was tried with one method, and on what."""

    method: str
    origin: str
    """The distribution that brings it, with its version; or the name of its drop-in file."""
    model: str
    """Which model it was tried on."""
    libraries: dict[str, str]
    """Versions of pegbox, torch, transformers, peft, trl and bitsandbytes."""
    checks: tuple[Check, ...]

    @property
    def certified(self) -> bool:
        """Whether nothing failed."""
        return all(check.outcome != "failed" for check in self.checks)

    def outcome(self, name: CheckName) -> Check | None:
        """Give one check; None: it wasn't tried."""
        return next((check for check in self.checks if check.name == name), None)


def read_certificates(path: Path) -> dict[str, Certificate]:
    """Read a `capabilities.json`: method -> certificate. Empty where there is no such file.

    Raises: ValueError: it holds something else.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, Certificate])
    except msgspec.DecodeError as error:
        raise ValueError(f"{path}: {error}") from None


def write_certificates(found: dict[str, Certificate], path: Path) -> None:
    """Put certificates into a `capabilities.json` beside those of other methods, in alphabetical order.

    Raises: OSError; ValueError: the file holds something else.
    """
    known = read_certificates(path) | found
    text = msgspec.json.format(msgspec.json.encode(dict(sorted(known.items()))), indent=1)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    aside.write_bytes(text + b"\n")
    aside.replace(path)
