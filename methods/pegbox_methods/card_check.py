"""What is wrong with a card: a guest's is read with care before anything relies on it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import msgspec

from pegbox_methods.card import ABILITIES, Card, Needs, Reason
from pegbox_methods.recipe import Training
from pegbox_methods.refusal import did_you_mean
from pegbox_methods.setting import Setting

NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
SETTING_NAME = re.compile(r"[a-z][a-z0-9_]*")
TORCH_HALF = re.compile(r"[A-Za-z_][\w-]*(\.[\w-]+)*:[A-Za-z_]\w*")
LINES = ("name", "title", "summary", "source", "learning_rate_source", "torch_half")
"""Fields that are a text of one line."""


def card_faults(card: object) -> Iterator[str]:
    """Find what is wrong with a card, each as a clause that names the field."""
    if not isinstance(card, Card):
        yield f"it answers the hook pegbox_card with {kind_of(card)} in place of a Card"
        return
    for field in LINES:
        yield from line_faults(f"card.{field}", getattr(card, field))
    if isinstance(card.name, str) and not NAME.fullmatch(card.name):
        yield f"card.name = {card.name!r}: expected small letters, digits and hyphens"
    if isinstance(card.torch_half, str) and not TORCH_HALF.fullmatch(card.torch_half):
        yield f'card.torch_half = {card.torch_half!r}: expected "module:object"'
    yield from _settings(card.settings)
    yield from _rate(card.learning_rate)
    yield from _record("card.needs", card.needs, Needs)
    yield from function_faults("card.footprint", card.footprint, "shape", "settings")
    if card.least_steps is not None:
        yield from function_faults("card.least_steps", card.least_steps, "settings")
    for field in ("recommended", "discouraged"):
        yield from _reasons(f"card.{field}", getattr(card, field))
    yield from _cannot(card.cannot)
    if card.sharding is not None:
        yield from line_faults("card.sharding", card.sharding)


def line_faults(field: str, value: object) -> Iterator[str]:
    """Hold a value against what is shown in one line."""
    if not isinstance(value, str) or not value.strip() or "\n" in value:
        yield f"{field}: expected a text of one line, got {kind_of(value)}"


def _settings(settings: object) -> Iterator[str]:
    if not isinstance(settings, tuple):
        yield f"card.settings: expected a tuple of Setting, got {kind_of(settings)}"
        return
    seen: set[str] = set()
    for number, setting in enumerate(settings):
        field = f"card.settings[{number}]"
        wrong = [*_setting(field, setting)]
        yield from wrong
        if not wrong:
            if setting.name in seen:
                yield f'{field}: a second setting is called "{setting.name}"'
            seen.add(setting.name)


def _setting(field: str, setting: object) -> Iterator[str]:
    if not isinstance(setting, Setting):
        yield f"{field}: expected a Setting, got {kind_of(setting)}"
        return
    wrong = [*_converted(field, msgspec.structs.asdict(setting), Setting)]
    yield from wrong
    if wrong:
        return
    if not SETTING_NAME.fullmatch(setting.name):
        yield f"{field}.name = {setting.name!r}: expected small letters, digits and underscores"
    yield from line_faults(f"{field}.help", setting.help)
    if setting.kind == "choice" and not setting.choices:
        yield f"{field}.choices: a setting of this kind has some"
    elif not setting.accepts(setting.default):
        yield f"{field}.default = {setting.default!r}: it takes {setting.accepted()}"


def _rate(rate: object) -> Iterator[str]:
    """Hold the rate against what a recipe takes, as it is written into one."""
    kind = next(field.type for field in msgspec.structs.fields(Training) if field.name == "learning_rate")
    try:
        good = rate is not None and msgspec.convert(rate, kind) is not None
    except msgspec.ValidationError:
        good = False
    if not good:
        yield f"card.learning_rate = {rate!r}: expected a number above 0, to 10"


def function_faults(field: str, function: object, *given: str) -> Iterator[str]:
    """See whether something can be called with so many arguments, without calling it."""
    expected = f"expected a function of {' and '.join(given) or 'nothing'}"
    if not callable(function):
        yield f"{field}: {expected}, got {kind_of(function)}"
        return
    try:
        inspect.signature(function).bind(*(None for _ in given))
    except TypeError as error:
        yield f"{field}: {expected}: {error}"
    except ValueError:  # a callable that tells no signature, as some of C do
        return


def _reasons(field: str, reasons: object) -> Iterator[str]:
    if not isinstance(reasons, tuple):
        yield f"{field}: expected a tuple of Reason, got {kind_of(reasons)}"
        return
    for number, reason in enumerate(reasons):
        yield from _record(f"{field}[{number}]", reason, Reason)


def _record(field: str, value: object, kind: type[Needs] | type[Reason]) -> Iterator[str]:
    if not isinstance(value, kind):
        yield f"{field}: expected {kind.__name__}, got {kind_of(value)}"
        return
    yield from _converted(field, asdict(value), kind)


def _cannot(cannot: object) -> Iterator[str]:
    if not isinstance(cannot, Mapping):
        yield f"card.cannot: expected a mapping of abilities to reasons, got {kind_of(cannot)}"
        return
    for ability, reason in cannot.items():
        if ability not in ABILITIES:
            yield f"card.cannot: {ability!r} is no ability; {did_you_mean(str(ability), ABILITIES)}"
        else:
            yield from line_faults(f'card.cannot["{ability}"]', reason)


def _converted(field: str, values: dict[str, Any], kind: type) -> Iterator[str]:
    """Let msgspec hold each value against its declared type."""
    try:
        msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        said, _, place = str(error).partition(" - at `$")
        yield f"{field}{place.rstrip('`')}: {said[:1].lower()}{said[1:]}"


def kind_of(value: object) -> str:
    """Say what a value is, in a word or two; an empty or folded text as it is written."""
    return repr(value)[:60] if isinstance(value, str) else type(value).__name__
