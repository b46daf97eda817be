"""The recommendation as a card: the figures, why each value, what lost and by how much, what would help."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rich.text import Text

from pegbox_methods.advice.records import Advice, Alternative, Choice
from pegbox_methods.advice.serving import SOURCES, ServingTarget, needed, why_not
from pegbox_runs.figures import duration, size
from pegbox_runs.printable import printable
from pegbox_runs.settling import Settled
from pegbox_tui.wizard.advice_words import verdict, warnings_of
from pegbox_tui.wizard.settings.typed import write_value
from pegbox_tui.wizard.settings.words import BOUNDS, bar_for, place_in_words

NAMES = {
    "method.name": "method",
    "evaluation.micro_batch": "evaluation micro batch",
    "split.share": "held-out share",
}
"""Of values whose key's last part says too little."""


class Said(NamedTuple):
    """A paragraph: what stands first in bold, and the rest."""

    lead: str
    text: str


def card_text(settled: Settled, serving: ServingTarget | None, width: int, *, legend: bool = True) -> Text:
    """Lay out the whole card for a width; it is meant to be scrolled through. `legend`: with the bar's items."""
    text = Text()
    _title(text, f"{settled.card.title}: {verdict(settled)}")
    text.append(f"{printable(settled.card.summary)}\n{printable(place_in_words(settled.place))}\n")
    if legend and (bar := bar_for(settled)) is not None:
        text.append("\n").append_text(bar.legend(width)).append("\n")
    for title, said in sections(settled, serving):
        _title(text, f"\n{title}")
        for one in said:
            text.append(f"{printable(one.lead)}", "bold" if one.text else "")
            text.append(f"{': ' if one.text else ''}{printable(one.text)}\n")
    return text


def sections(settled: Settled, serving: ServingTarget | None) -> Iterator[tuple[str, list[Said]]]:
    """List the card's parts, those that have something to say."""
    advice = settled.advice
    parts = (
        ("To be mended", [Said(fault, "") for fault in settled.faults]),
        ("What would help", [Said(change.what, change.consequence) for change in advice.changes]),
        ("Watch out", list(_warnings(settled, serving))),
        ("Time", list(_time(settled))),
        ("Why", [_why(choice) for choice in advice.choices]),
        ("What lost, and by how much", [_lost(one, advice) for one in advice.alternatives]),
        ("Not ranked for this device", [Said(", ".join(advice.unranked), "")] if advice.unranked else []),
    )
    yield from ((title, said) for title, said in parts if said)


def _warnings(settled: Settled, serving: ServingTarget | None) -> Iterator[Said]:
    yield from (Said(warning, "") for warning in warnings_of(settled))
    if serving is not None:
        settings = settled.recipe.method.settings
        said = (why_not(serving, settled.card, settings), *settled.unserved, needed(serving, settled.card, settings))
        yield from (Said(f"{one} ({SOURCES[serving]})", "") for one in dict.fromkeys(said) if one is not None)


def _time(settled: Settled) -> Iterator[Said]:
    time = settled.time
    if time is None:
        yield Said(settled.advice.time_unknown or "unknown", "")
        return
    whole = settled.steps is not None
    amount = "the whole run, evaluations too"
    if not whole:
        amount = f"a million tokens, as {settled.uncounted or 'no rows are known yet'}"
    span = f"between {duration(time.seconds_low)} and {duration(time.seconds_high)}"
    speed = f"{time.tokens_per_second:,.0f} tokens a second"
    yield Said(duration(time.seconds), f"{amount}; {span}; {speed}; {BOUNDS[time.bound]}. {time.source}.")


def _why(choice: Choice) -> Said:
    name = NAMES.get(choice.key) or choice.key.rpartition(".")[2].replace("_", " ")
    return Said(f"{name} {write_value(choice.value)}", f"{choice.why} ({choice.source})")


def _lost(one: Alternative, advice: Advice) -> Said:
    """Say by how much: memory beside what would be left, and the speed against the advised one's."""
    figures = []
    if one.safe_bytes is not None and one.margin_bytes is not None:
        left = f"{size(one.margin_bytes)} left" if one.margin_bytes >= 0 else f"{size(-one.margin_bytes)} short"
        figures.append(f"{size(one.safe_bytes)}, {left}")
    if one.tokens_per_second and advice.time is not None:
        figures.append(f"{one.tokens_per_second / advice.time.tokens_per_second:.2f} times the speed")
    told = f"{'; '.join(figures)}. " if figures else ""
    return Said(one.what, f"{told}{one.lost_because} ({one.source})")


def _title(text: Text, title: str) -> None:
    text.append(f"{printable(title)}\n", "bold underline")
