"""How methods come in: names without imports, one that raises, all of them with the broken fenced off."""

from __future__ import annotations

import dataclasses
import sys
import types
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from pegbox_methods import registry
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.refusal import Refusal
from pegbox_methods.zoo.lora.card import CARD

BUILT_IN = ["adalora", "dora", "lora", "qlora", "rslora"]


def plugin(monkeypatch: pytest.MonkeyPatch, name: str, **attributes: Any) -> EntryPoint:
    module = types.ModuleType(f"guest_{name}")
    module.__dict__.update(attributes)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return EntryPoint(name=name, value=module.__name__, group=registry.GROUP)


def installed(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    ours = tuple(registry.entry_points(group=registry.GROUP))
    monkeypatch.setattr(registry, "entry_points", lambda group: (*ours, *points))


def card_named(name: str) -> Any:
    @hookimpl
    def pegbox_card() -> Any:
        return dataclasses.replace(CARD, name=name)

    return pegbox_card


def test_lora_comes_in_by_the_door_of_guests() -> None:
    assert "lora" in registry.method_names()
    assert registry.find_card("lora") is CARD


def test_a_guest_stands_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, plugin(monkeypatch, "guest", pegbox_card=card_named("guest")))
    cards, warnings = registry.all_cards()
    assert [card.name for card in cards] == ["adalora", "dora", "guest", *BUILT_IN[2:]]
    assert not warnings


def test_an_unknown_method_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(Refusal, match=r'no method is called "lorra"; did you mean "lora"'):
        registry.find_card("lorra")


@hookimpl
def raising() -> None:
    raise ZeroDivisionError("inside the hook")


@hookimpl
def misspelt() -> None: ...


@hookimpl
def wrong_signature(wanted: int) -> None: ...


@hookimpl
def no_card() -> str:
    return "lora"


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"pegbox_card": raising}, "ZeroDivisionError: inside the hook"),
        ({"pegbox_crad": misspelt}, "pegbox_crad"),
        ({"pegbox_card": wrong_signature}, "wanted"),
        ({"pegbox_card": no_card}, "doesn't answer the hook pegbox_card with a Card"),
        ({}, "doesn't answer the hook pegbox_card with a Card"),
        ({"pegbox_card": card_named("other")}, 'entry point is called "bad" but its card "other"'),
    ],
)
def test_a_broken_guest_is_one_warning_and_everything_else_works(
    monkeypatch: pytest.MonkeyPatch, attributes: dict[str, Any], says: str
) -> None:
    installed(monkeypatch, plugin(monkeypatch, "bad", **attributes))
    cards, warnings = registry.all_cards()
    assert [card.name for card in cards] == BUILT_IN
    assert len(warnings) == 1
    assert says in warnings[0]
    with pytest.raises(Refusal, match=r'the method "bad" can\'t be used'):
        registry.find_card("bad")


def test_a_guest_that_cannot_be_imported_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, EntryPoint(name="gone", value="no_such_module_at_all", group=registry.GROUP))
    assert "ModuleNotFoundError" in registry.all_cards()[1][0]


def test_a_taken_name_is_a_warning_and_the_built_in_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, plugin(monkeypatch, "lora", pegbox_card=card_named("lora")))
    cards, warnings = registry.all_cards()
    assert [card.name for card in cards] == BUILT_IN
    assert CARD in cards
    assert registry.find_card("lora") is CARD
    assert 'the name "lora" is taken' in warnings[0]
