"""A run's report, in its parts and their order."""

from __future__ import annotations

from dataclasses import dataclass

from pegbox_runs.reporting.phrases import date
from pegbox_runs.run_report.facts import RunFacts
from pegbox_runs.run_report.headline import STATUSES, headline, is_over
from pegbox_runs.run_report.parts import Section
from pegbox_runs.run_report.sections.artefacts import artefacts
from pegbox_runs.run_report.sections.curves import curves
from pegbox_runs.run_report.sections.evaluation import evaluation
from pegbox_runs.run_report.sections.forecast import forecast
from pegbox_runs.run_report.sections.glance import glance
from pegbox_runs.run_report.sections.happenings import advice, timeline
from pegbox_runs.run_report.sections.origin import origin, recipe
from pegbox_runs.run_report.sections.samples import samples


@dataclass(frozen=True)
class Report:
    """What the page and the Markdown are written from."""

    run: str
    made: str
    status: str
    headline: str
    over: bool
    sections: tuple[Section, ...]

    @property
    def title(self) -> str:
        """The headline's first clause, where it has several: a page's heading is large."""
        first, _, rest = self.headline.partition("; ")
        return f"{first}." if rest else first

    @property
    def lead(self) -> str:
        """All else that the headline says; empty: it has one clause."""
        rest = self.headline.partition("; ")[2]
        return rest[:1].upper() + rest[1:]


def report_of(facts: RunFacts) -> Report:
    """Put a report together."""
    return Report(
        run=facts.folder.id,
        made=date(facts.now),
        status=STATUSES[facts.state.status],
        headline=headline(facts),
        over=is_over(facts.state),
        sections=(
            glance(facts),
            curves(facts),
            forecast(facts),
            evaluation(facts),
            samples(facts),
            advice(facts),
            timeline(facts),
            artefacts(facts),
            recipe(facts),
            origin(facts),
        ),
    )
