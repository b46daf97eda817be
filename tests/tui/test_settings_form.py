"""The form's lines: made from cards and recipe, stepped through, typed over, each with its reason."""

from __future__ import annotations

from typing import Any

import pytest

from pegbox_methods.registry import all_cards, find_card
from pegbox_tui.wizard.settings.explaining import explained_line
from pegbox_tui.wizard.settings.fields import MATTERS, FormField, fields_of, that_matter
from pegbox_tui.wizard.settings.lines import lines_of
from pegbox_tui.wizard.settings.stepping import stepped
from pegbox_tui.wizard.settings.typed import NotAccepted, read_typed, write_value
from tests.tui.cardboard import CardboardBench, draft

CARDS = all_cards()[0]


def field(key: str, method: str = "lora") -> FormField:
    return next(one for one in fields_of(find_card(method)) if one.key == key)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_each_setting_of_a_method_and_of_the_recipe_has_a_line_that_explains_itself(card: Any) -> None:
    fields = fields_of(card)
    keys = [one.key for one in fields]
    assert len({*keys}) == len(keys)
    assert [f"method.settings.{setting.name}" for setting in card.settings] == keys[1 : 1 + len(card.settings)]
    for table in ("training", "evaluation", "output", "recovery", "seeds"):
        assert any(key.startswith(f"{table}.") for key in keys)
    assert all(one.help and one.accepted for one in fields)
    assert all(one.optional or one.accepts(one.default) for one in fields if one.kind != "method")


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_about_a_dozen_lines_matter_whatever_the_method(card: Any) -> None:
    told = [one.key for one in that_matter(fields_of(card))]
    assert 8 <= len(told) <= 13
    assert {key for key in MATTERS if key.startswith("training.")} <= {*told}


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_every_step_from_a_default_stays_within_what_is_accepted(card: Any) -> None:
    for one in fields_of(card):
        for direction in (-1, 1):
            value = one.default
            for _ in range(40):
                value = stepped(one, value, direction)
                assert one.kind == "method" or one.accepts(value), (one.key, value)


@pytest.mark.parametrize(
    ("key", "value", "less", "more"),
    [
        ("method.settings.rank", 16, 8, 32),
        ("method.settings.rank", 24, 16, 32),
        ("method.settings.rank", 4096, 2048, 4096),
        ("method.settings.rank", 1, 1, 2),
        ("method.settings.dropout", 0.05, 0.04, 0.06),
        ("method.settings.dropout", 0.1, 0.09, 0.15),
        ("method.settings.dropout", 0.9, 0.85, 0.9),
        ("method.settings.targets", "all-linear", "attention", "attention"),
        ("method.settings.targets", ["q_proj"], "attention", "all-linear"),
        ("training.micro_batch", 3, 2, 4),
        ("training.length", 1000, 512, 1024),
        ("training.learning_rate", 2e-4, 1e-4, 5e-4),
        ("training.learning_rate", 3e-4, 2e-4, 5e-4),
        ("training.learning_rate", 10.0, 5.0, 10.0),
        ("training.epochs", 2.0, 1.5, 3.0),
        ("training.epochs", 1000.0, 100.0, 1000.0),
        ("training.max_steps", None, None, 100),
        ("training.max_steps", 1, None, 2),
        ("training.warmup", 0.0, 0.0, 0.01),
        ("seeds.training", 0, 0, 1),
        ("output.checkpoints", 2, 1, 3),
        ("training.schedule", "linear", "cosine", "constant"),
    ],
)
def test_arrow_keys_take_sensible_steps_and_stop_at_the_ends(key: str, value: Any, less: Any, more: Any) -> None:
    one = field(key)
    assert stepped(one, value, -1) == less or (one.kind == "choice" and stepped(one, value, -1) in one.choices)
    assert stepped(one, value, 1) == more or (one.kind == "choice" and stepped(one, value, 1) in one.choices)


@pytest.mark.parametrize(
    ("key", "typed", "value"),
    [
        ("method.settings.rank", " 24 ", 24),
        ("training.length", "1,024", 1024),
        ("training.learning_rate", "3e-4", 3e-4),
        ("training.learning_rate", "default", None),
        ("training.max_steps", "", None),
        ("method.settings.targets", "attention", "attention"),
        ("method.settings.targets", "q_proj, v_proj", ["q_proj", "v_proj"]),
        ("method.settings.targets", '["q_proj"]', ["q_proj"]),
        ("training.schedule", "linear", "linear"),
        ("output.note", "[red]mine[/]", "[red]mine[/]"),
    ],
)
def test_what_is_typed_is_read_as_what_it_means(key: str, typed: str, value: Any) -> None:
    assert read_typed(field(key), typed) == value


@pytest.mark.parametrize(
    ("key", "typed"),
    [
        ("method.settings.rank", "0"),
        ("method.settings.rank", "1.5"),
        ("method.settings.rank", ""),
        ("method.settings.rank", "9" * 5000),
        ("training.length", "long"),
        ("training.learning_rate", "nan"),
        ("training.learning_rate", "1e999"),
        ("training.epochs", "0"),
        ("training.schedule", "sometimes"),
        ("method.settings.targets", ""),
        ("output.note", "x" * 501),
    ],
)
def test_what_is_not_accepted_is_refused_with_what_would_be(key: str, typed: str) -> None:
    with pytest.raises(NotAccepted, match="expected"):
        read_typed(field(key), typed)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_every_default_can_be_typed_as_it_is_written(card: Any) -> None:
    for one in fields_of(card):
        if one.kind != "method" and one.default is not None:
            assert read_typed(one, write_value(one.default)) == one.default


def test_a_line_says_whose_value_it_is_and_explains_why() -> None:
    asked = draft(values={"training.micro_batch": 4, "training.length": 5})
    settled = CardboardBench().settled(asked)
    lines = {line.field.key: line for line in lines_of(fields_of(settled.card), asked, settled)}
    assert (lines["training.micro_batch"].mark, lines["training.micro_batch"].note) == ("yours", "yours; advised: 1")
    assert lines["training.accumulation"].mark == "follows"
    assert "4 x 4 = 16 rows a step" in lines["training.accumulation"].note
    assert lines["training.length"].mark == "fault"
    assert "5 isn't accepted" in lines["training.length"].note
    assert (lines["training.epochs"].mark, lines["training.epochs"].note) == ("", "")
    rank = explained_line(lines["method.settings.rank"])
    assert "usual start for a general task" in rank.text
    assert "Unsloth" in rank.source
    assert "a whole number from 1 to 4096" in rank.text
    texts = [explained_line(line).text for line in lines.values()]
    assert len({*texts}) == len(texts)
