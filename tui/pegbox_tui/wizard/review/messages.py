"""What the review's threads found out or did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.message import Message

from pegbox_hardware.forecast.memory import Forecast
from pegbox_runs.comparison import Compared
from pegbox_runs.disk_need import DiskNeed
from pegbox_runs.method_offers import Offers
from pegbox_runs.settling import Settled
from pegbox_tui.wizard.review.findings import Finding
from pegbox_tui.wizard.review.working import Doubt


@dataclass
class ReviewSettled(Message):
    """The draft was settled, or can't be."""

    settled: Settled | None
    need: DiskNeed | None
    trouble: str = ""
    measured: Forecast | None = None
    """What this very recipe took when it was measured; None: it wasn't, since the wizard was opened."""


@dataclass
class Checked(Message):
    """The recipe was checked as a start would."""

    findings: Sequence[Finding]


@dataclass
class Measured(Message):
    """The measurement came to an end."""

    found: Forecast | None
    trouble: str = ""


@dataclass
class ComparisonRead(Message):
    """What is in the comparison."""

    there: Sequence[Compared]
    said: str = ""
    """What happened, or what couldn't be read."""


@dataclass
class Asked(Message):
    """Something should be asked before the start; None: it may begin."""

    doubt: Doubt | None


@dataclass
class MethodsOffered(Message):
    """All methods were priced."""

    offers: Offers
