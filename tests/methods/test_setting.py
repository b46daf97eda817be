"""A setting's words, its check, and its JSON schema say the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegbox_methods.recipe_file import recipe_schema
from pegbox_methods.registry import all_cards
from pegbox_methods.setting import Setting, resolve_settings

WHOLE = Setting(name="rank", kind="whole", default=8, minimum=1, maximum=64, help="A rank.", unit="rows")
NUMBER = Setting(name="rate", kind="number", default=0.5, minimum=0, maximum=0.9, help="A rate.")
OPEN = Setting(name="open", kind="number", default=1.0, help="Without bounds.")
SWITCH = Setting(name="on", kind="switch", default=False, help="On or off.")
CHOICE = Setting(name="way", kind="choice", default="one", choices=("one", "other"), help="Which way.")
NAMES = Setting(name="targets", kind="names", default="all", choices=("all",), help="Which maps.")
LIST = Setting(name="maps", kind="names", default=["q_proj"], help="Which maps, named one by one.")
WHOLES = Setting(name="tokens", kind="wholes", default=[1], maximum=99, help="Which tokens.")
EMPTY = Setting(name="more", kind="wholes", default=[], minimum=-5, help="Which tokens besides.")
KINDS = (WHOLE, NUMBER, OPEN, SWITCH, CHOICE, NAMES, LIST, WHOLES, EMPTY)

ONE = st.one_of(
    *(st.none(), st.booleans(), st.integers(-10, 200), st.integers(), st.floats()),
    *(st.sampled_from(["one", "all", "", "q_proj"]), st.text(max_size=3)),
)
VALUES = st.one_of(ONE, st.lists(ONE, max_size=3), st.lists(st.integers(0, 120), max_size=3))


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Hold a value against the words of JSON schema that settings use."""
    if "anyOf" in schema:
        return any(fits(value, part) for part in schema["anyOf"])
    if "enum" in schema:
        return isinstance(value, str) and value in schema["enum"]
    kinds: dict[str, Any] = {"integer": int, "number": (int, float), "boolean": bool, "string": str, "array": list}
    if not isinstance(value, kinds[schema["type"]]) or (isinstance(value, bool) and schema["type"] != "boolean"):
        return False
    if schema["type"] == "array":
        return len(value) >= schema.get("minItems", 0) and all(fits(one, schema["items"]) for one in value)
    if schema["type"] == "string":
        return len(value) >= schema.get("minLength", 0)
    return schema.get("minimum", value) <= value <= schema.get("maximum", value)


@pytest.mark.parametrize("setting", KINDS, ids=lambda setting: setting.name)
@given(value=VALUES)
def test_what_a_setting_accepts_fits_its_schema_and_nothing_else_does(setting: Setting, value: Any) -> None:
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        assert not setting.accepts(value)  # JSON has no such number
    else:
        assert setting.accepts(value) == fits(value, setting.schema())


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (WHOLE, "a whole number from 1 to 64"),
        (NUMBER, "a number from 0 to 0.9"),
        (OPEN, "a number"),
        (Setting(name="n", kind="number", default=0.0, maximum=1e6, help="."), "a number up to 1000000"),
        (SWITCH, "true or false"),
        (CHOICE, '"one" or "other"'),
        (NAMES, '"all", or a list of module names'),
        (LIST, "a list of module names"),
        (WHOLES, "a list of whole numbers from 0 to 99"),
        (EMPTY, "a list of whole numbers from 0, or an empty one"),
    ],
)
def test_a_setting_says_what_it_accepts(setting: Setting, words: str) -> None:
    assert setting.accepted() == words


def test_a_list_of_whole_numbers_may_be_empty_where_its_default_is() -> None:
    assert EMPTY.accepts([])
    assert not WHOLES.accepts([])
    assert WHOLES.accepts([0, 99])
    for wrong in ([100], [-1], [1.0], [True], ["1"], (1,), 1, None):
        assert not WHOLES.accepts(wrong)
    settings, faults = resolve_settings((WHOLES, EMPTY), {"tokens": [3, -1]}, file="recipe.toml")
    assert settings["more"] == []
    assert str(faults[0]) == (
        "recipe.toml: method.settings.tokens = [3, -1]: expected a list of whole numbers from 0 to 99"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400])
def test_a_number_that_no_float_holds_is_accepted_nowhere(value: float) -> None:
    assert not any(setting.accepts(value) for setting in KINDS)


def test_every_installed_method_is_in_the_schema_with_its_defaults_accepted() -> None:
    cards = all_cards()[0]
    branches = recipe_schema(cards)["$defs"]["Method"]["anyOf"]
    assert [one["properties"]["name"]["const"] for one in branches] == [card.name for card in cards]
    assert [one["required"] for one in branches] == [[] if card.name == "lora" else ["name"] for card in cards]
    for card, branch in zip(cards, branches, strict=True):
        described = branch["properties"]["settings"]
        assert described["additionalProperties"] is False
        assert list(described["properties"]) == [setting.name for setting in card.settings]
        for setting in card.settings:
            schema = described["properties"][setting.name]
            assert schema["description"] == setting.help
            assert fits(schema["default"], schema)
            assert setting.unit == schema.get("unit", "")


def test_without_methods_the_schema_takes_any_settings() -> None:
    assert "anyOf" not in recipe_schema()["$defs"]["Method"]
