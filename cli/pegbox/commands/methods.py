"""pegbox methods [NAME]"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pegbox.answer import answer_json, say
from pegbox_methods.card import Card
from pegbox_methods.registry import all_cards, find_card
from pegbox_runs.printable import printable


def run(asked: argparse.Namespace) -> int:
    """List the methods, or describe one."""
    if asked.method:
        card = find_card(asked.method)
        if asked.json:
            answer_json(_record(card))
        else:
            Console().print(_description(card))
        return 0
    cards, warnings = all_cards()
    if asked.json:
        answer_json({"methods": [_record(card) for card in cards], "warnings": warnings})
    else:
        Console().print(_table(cards))
    for warning in warnings:
        say(f"warning: {warning}", json=asked.json)
    return 0


def _record(card: Card) -> dict[str, Any]:
    return {
        "name": card.name,
        "title": card.title,
        "summary": card.summary,
        "source": card.source,
        "learning_rate": card.learning_rate,
        "settings": [msgspec.to_builtins(setting) for setting in card.settings],
        "needs": msgspec.to_builtins(card.needs),
        "recommended": [msgspec.to_builtins(reason) for reason in card.recommended],
        "discouraged": [msgspec.to_builtins(reason) for reason in card.discouraged],
    }


def _table(cards: tuple[Card, ...]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("name", "method", "what it does"):
        table.add_column(column)
    for card in cards:
        table.add_row(*(Text(printable(said)) for said in (card.name, card.title, card.summary)))
    return table


def _description(card: Card) -> Text:
    return Text("\n".join(printable(line) for line in _lines(card)))


def _lines(card: Card) -> Iterator[str]:
    yield f"{card.title} ({card.name}): {card.summary}"
    yield f"Source: {card.source}"
    yield f"Learning rate: {card.learning_rate:g} unless the recipe names one ({card.learning_rate_source})"
    yield "\nSettings, under [method.settings]:"
    for setting in card.settings:
        yield f"  {setting.name} = {setting.default!r}  ({setting.accepted()})"
        yield f"      {setting.help}"
    for title, reasons in (("Take it when", card.recommended), ("Leave it when", card.discouraged)):
        for reason in reasons:
            yield f"\n{title} {reason.when}: {reason.why} ({reason.source})"
