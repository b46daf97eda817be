"""How a check ends, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass

from pegbox_methods.certificate import Outcome
from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import one_line

LONGEST_SENTENCE = 400
"""Characters; the errors of libraries can be pages long."""


@dataclass(frozen=True)
class Verdict:
    """An outcome, and a figure or a reason."""

    outcome: Outcome
    detail: str = ""


class Shortfall(Exception):
    """The method isn't what its card or the contract says; the message is a whole clause."""


def passed(detail: str = "") -> Verdict:
    """End a check well."""
    return Verdict("passed", detail)


def sentence_of(error: BaseException) -> str:
    """Say what went wrong in one line."""
    if isinstance(error, Shortfall):
        said = str(error)
    elif isinstance(error, Refusal):
        said = f"refused: {error.sentence}"
    else:
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return one_line(said, LONGEST_SENTENCE)


def apart(gap: float) -> str:
    """Put a distance of logits into words; `gap`: as `tensors.distance` gives it."""
    return "logits are equal" if gap == 0 else f"logits differ by {gap:.0e} of the largest one"


def tensors(count: int) -> str:
    """Count tensors in words."""
    return f"{count} tensor{'' if count == 1 else 's'}"


def some(names: list[str]) -> str:
    """Name a few tensors or files out of many."""
    shown = ", ".join(names[:2])
    return shown if len(names) <= 2 else f"{shown} and {len(names) - 2} more"
