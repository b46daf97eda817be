"""The step of the settings: drawn at two sizes, driven by keys and mouse, and everything that can go wrong on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from pegbox_methods.recipe import MixedRows, Rows
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_runs import method_offers
from pegbox_runs.drafts import Draft, draft_of
from pegbox_runs.models import FoundModel
from pegbox_runs.settling import Settled
from pegbox_tui.shell.explaining import explained
from pegbox_tui.shell.help import HelpScreen, keys_of
from pegbox_tui.wizard.settings.card_text import card_text
from pegbox_tui.wizard.settings.fields import fields_of
from pegbox_tui.wizard.settings.form import SettingsForm
from pegbox_tui.wizard.settings.lines import lines_of
from pegbox_tui.wizard.settings.method_list import MethodList
from pegbox_tui.wizard.settings.screen import SettingsStep
from tests.methods.advice_situations import model_70b
from tests.tui.cardboard import CardboardBench, StepApp, draft, drawn, move_to, settled

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])


def app_of(bench: CardboardBench | None = None, **changes: Any) -> StepApp:
    return StepApp(SettingsStep(draft(**changes), bench or CardboardBench()))


def pressed(*keys: str) -> Callable[[Pilot[Any]], Any]:
    async def run(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        for key in keys:
            await pilot.press(key)
            await settled(pilot)

    return run


async def choose(pilot: Pilot[Any], key: str) -> None:
    move_to(pilot.app.screen.query_one(SettingsForm), key)
    await pilot.pause()


@SIZES
def test_the_recommendation_is_drawn_with_its_form(snap_compare: Any, size: tuple[int, int]) -> None:
    keys = ["down", "right", "down", "down", "down", "down", "down", "right"]
    assert snap_compare(app_of(serving="vllm"), terminal_size=size, run_before=pressed(*keys))


def test_everything_can_be_set_in_the_form(snap_compare: Any) -> None:
    assert snap_compare(app_of(), terminal_size=(80, 24), run_before=pressed("e", "pagedown", "pagedown"))


def test_the_methods_are_listed_with_what_they_take(snap_compare: Any) -> None:
    assert snap_compare(app_of(serving="vllm"), terminal_size=(120, 40), run_before=pressed("m", "down", "down"))


async def test_arrow_keys_change_a_value_and_the_price_follows_in_the_draft_and_on_the_screen() -> None:
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        before = str(app.step.query_one("#price", Static).visual)
        await choose(pilot, "training.length")
        await pilot.press("right", "right")
        await settled(pilot)
        assert app.drafts[-1].values == {"training.length": 2048}
        assert str(app.step.query_one("#price", Static).visual) != before
        assert "yours; advised: 512" in drawn(app)
        assert "Longest sequence" in drawn(app)
        assert "Advised 512: the least that leaves" in drawn(app)
        await pilot.press("backspace")
        await settled(pilot)
        assert app.drafts[-1].values == {}
        assert str(app.step.query_one("#price", Static).visual) == before


async def test_a_number_is_typed_over_and_a_bad_one_is_said_at_once_and_never_kept() -> None:
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await choose(pilot, "method.settings.rank")
        await pilot.press("2", "4")
        await pilot.pause()
        assert "Enter takes it" in drawn(app)
        await pilot.press("x")
        await pilot.pause()
        assert "24x: expected a whole number from 1 to 4096" in drawn(app)
        await pilot.press("enter")
        await settled(pilot)
        assert app.drafts == []
        await pilot.press("backspace", "enter")
        await settled(pilot)
        assert app.drafts[-1].values == {"method.settings.rank": 24}
        await pilot.press("enter", "9", "escape")
        await settled(pilot)
        assert app.drafts[-1].values == {"method.settings.rank": 24}
        assert app.turns == []


async def test_help_names_the_keys_that_work_where_one_stands() -> None:
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert ("2", "To Model") in keys_of(app.screen)
        await choose(pilot, "method.settings.rank")
        assert "To Model" not in dict(keys_of(app.screen)).values(), "a digit types over the rank"
        assert ("?", "Explain") in keys_of(app.screen)
        await pilot.press("2")
        await pilot.pause()
        assert app.turns == []
        assert ("f1", "Explain") in keys_of(app.screen), "? is a letter in a field"


@pytest.mark.parametrize("width", [80, 120])
async def test_notes_end_with_a_clause_and_what_a_setting_is_has_the_whole_line(width: int) -> None:
    values = {"training.micro_batch": 2, "method.settings.rank": 32}
    app = app_of(values=values)
    async with app.run_test(size=(width, 40)) as pilot:
        await settled(pilot)
        form = [line.partition("│")[0].rstrip() for line in drawn(app).splitlines()]
        (rank,) = (line for line in form if line.startswith("  rank"))
        assert rank.endswith("yours; advised: 16")
        (alpha,) = (line for line in form if line.startswith("  alpha"))
        assert alpha.endswith(("follows the rank: 2 times it", "follows the rank"))
        (accumulation,) = (line for line in form if line.startswith("  accumulation"))
        assert accumulation.endswith("follows the micro-batch")
        await choose(pilot, "training.micro_batch")
        what = app.step.query_one(SettingsForm).line
        assert what is not None
        assert what.field.help in words(app)


async def test_a_repeated_recipe_has_as_yours_what_differs_from_the_advice() -> None:
    bench = CardboardBench()
    recipe = bench.settled(draft()).recipe
    repeated = draft_of(msgspec.structs.replace(recipe, training=msgspec.structs.replace(recipe.training, epochs=5.0)))
    assert len(repeated.values) > 20
    lines = lines_of(fields_of(find_card("lora")), repeated, bench.settled(repeated))
    assert [line.field.key for line in lines if line.mark == "yours"] == ["training.epochs"]


async def test_the_old_value_is_replaced_as_a_whole_when_a_field_is_opened() -> None:
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await choose(pilot, "training.epochs")
        await pilot.press("enter", "5", "enter")
        await settled(pilot)
        assert app.drafts[-1].values == {"training.epochs": 5.0}


async def test_the_rows_of_a_step_stay_when_the_micro_batch_changes() -> None:
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await choose(pilot, "training.micro_batch")
        await pilot.press("right")
        await settled(pilot)
        assert app.drafts[-1].values == {"training.micro_batch": 2}
        assert "2 x 8 = 16 rows a step" in drawn(app)
        await choose(pilot, "training.accumulation")
        await pilot.press("right")
        await settled(pilot)
        await choose(pilot, "training.micro_batch")
        await pilot.press("right")
        await settled(pilot)
        assert app.drafts[-1].values == {"training.micro_batch": 4, "training.accumulation": 8}


async def test_rows_of_a_step_that_were_set_come_back_after_a_micro_batch_that_was_larger() -> None:
    app = app_of(values={"training.micro_batch": 1, "training.accumulation": 16})
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await choose(pilot, "training.micro_batch")
        await pilot.press(*["right"] * 5)
        await settled(pilot)
        assert app.drafts[-1].values == {"training.micro_batch": 32, "training.accumulation": 1}
        await pilot.press(*["left"] * 5)
        await settled(pilot)
        assert app.drafts[-1].values == {"training.micro_batch": 1, "training.accumulation": 16}
        await pilot.press("right", "backspace")
        await settled(pilot)
        assert app.drafts[-1].values == {"training.accumulation": 16}
        await choose(pilot, "training.accumulation")
        await pilot.press("right")
        await choose(pilot, "training.micro_batch")
        await pilot.press("right")
        await settled(pilot)
        assert app.drafts[-1].values == {"training.micro_batch": 2, "training.accumulation": 16}


async def test_another_method_is_taken_from_the_list_and_its_own_settings_are_advised_anew() -> None:
    app = app_of(values={"method.settings.rank": 4, "training.epochs": 5.0})
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("m")
        await settled(pilot)
        assert isinstance(app.screen, MethodList)
        found = explained(app.screen)
        assert found is not None
        assert found.title == "LoRA"
        await pilot.press("question_mark")
        await settled(pilot)
        assert isinstance(app.screen, HelpScreen)
        assert "Source: " in drawn(app)
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(app.screen, MethodList)
        await pilot.press("down", "down", "enter")
        await settled(pilot)
        assert app.drafts[-1].method == "dora"
        assert app.drafts[-1].values == {"training.epochs": 5.0}
        assert "your choice; lora is advised" in drawn(app)
        await choose(pilot, "method.name")
        await pilot.press("backspace")
        await settled(pilot)
        assert app.drafts[-1].method is None


async def test_a_broken_plugin_is_a_line_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    cards, _ = method_offers.all_cards()
    few = tuple(card for card in cards if card.name in ("lora", "dora"))
    said = 'evil 1.0: the method "[red]x\x1b[2J" is left out: it raised'
    monkeypatch.setattr(method_offers, "all_cards", lambda: (few, (said,)))
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("m")
        await settled(pilot)
        assert "! evil 1.0" in drawn(app)
        assert "[red]x\\x1b[2J" in drawn(app)
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(app.screen, SettingsStep)
        assert app.turns == []


async def test_a_bad_value_is_told_above_the_methods_and_each_can_still_be_taken() -> None:
    app = app_of(values={"training.length": 7})
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("m")
        await settled(pilot)
        assert "! Whatever the method: training.length = 7: expected" in words(app)
        assert "can't" not in words(app)


async def test_the_mouse_chooses_a_line_and_presses_its_arrows() -> None:
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        lines = drawn(app).splitlines()
        y = next(number for number, line in enumerate(lines) if "  rank" in line)
        await pilot.click(offset=(3, y))
        await pilot.pause()
        assert "> rank" in drawn(app)
        x = drawn(app).splitlines()[y].index("→")
        await pilot.click(offset=(x, y))
        await settled(pilot)
        assert app.drafts[-1].values == {"method.settings.rank": 32}


async def test_the_card_says_why_what_lost_and_by_how_much() -> None:
    app = app_of(serving="vllm", method="dora")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("w")
        await settled(pilot)
        assert "DoRA" in drawn(app)
    settled_draft = CardboardBench().settled(draft(method="dora"))
    text = card_text(settled_draft, "vllm", 80).plain
    assert "vLLM doesn't load DoRA's magnitudes" in text
    assert "lora, which would be advised" in text
    assert "times the speed" in text
    assert "twice the rank" in text
    for choice in settled_draft.advice.choices:
        assert choice.why in text
        assert choice.source in text


def test_rows_that_are_mixed_have_the_time_of_a_million_tokens_and_no_steps() -> None:
    rows = Rows(file="/tmp/rows.jsonl", mix=(MixedRows(file="/tmp/general.jsonl"),))
    text = " ".join(card_text(CardboardBench().settled(draft(rows=rows)), None, 80).plain.split())
    assert "a million tokens, as more sources are mixed in, which aren't counted" in text
    assert "there are no steps yet, and the time is that of a million tokens." in text
    assert "no rows are known" not in text


async def test_where_nothing_fits_it_is_said_with_what_would_help_and_one_can_go_on() -> None:
    app = app_of(CardboardBench(model_70b(), "GTX 1650"))
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        assert "DOESN'T FIT" in drawn(app)
        assert "What would help" in drawn(app)
        assert "a card of 80 GiB" in drawn(app)
        await pilot.press("ctrl+n")
        await pilot.pause()
        assert app.turns == ["next"]


async def test_a_draft_with_values_of_another_version_is_faulty_and_can_be_mended() -> None:
    app = app_of(method="gone-method", values={"training.tomorrow": 3, "training.length": 7})
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "! To be mended (and 2 more): method.name = 'gone-method': no method is" in drawn(app)
        await pilot.press("ctrl+n")
        await pilot.pause()
        assert app.turns == []
        await pilot.press("x")
        await settled(pilot)
        assert app.drafts[-1].values == {}
        assert app.drafts[-1].method is None
        await pilot.press("ctrl+n")
        await pilot.pause()
        assert app.turns == ["next"]


async def test_hostile_notes_and_names_are_shown_and_never_acted_on() -> None:
    app = app_of(values={"output.note": "[red]boo[/]\x1b[2J\u202e"})
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("e", "end")
        await settled(pilot)
        await choose(pilot, "output.note")
        assert "[red]boo[/]\\x1b[2J\\u202e" in drawn(app)
        assert "\x1b" not in drawn(app)


class Vanishing(CardboardBench):
    """Its model's folder is gone the first time."""

    gone = True

    def settled(self, draft: Draft) -> Settled:
        if self.gone:
            raise Refusal("/models/mine: there is no such model folder.")
        return super().settled(draft)


async def test_a_model_that_vanished_is_a_sentence_and_trying_again_works() -> None:
    bench = Vanishing()
    app = app_of(bench, values={"training.epochs": 5.0})
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "there is no such model folder" in drawn(app)
        await pilot.press("ctrl+n")
        await pilot.pause()
        assert app.turns == []
        bench.gone = False
        await pilot.press("r")
        await settled(pilot)
        assert "FITS" in drawn(app)
        assert "yours; advised: 2" in drawn(app)
        await pilot.press("escape")
        await pilot.pause()
        assert app.turns == ["back"]


class Packed(CardboardBench):
    """Its model was packed already, so that no method can be advised."""

    def model(self, draft: Draft) -> FoundModel | None:
        found = super().model(draft)
        packed = {"quantization_config": {"quant_method": "bitsandbytes"}}
        return None if found is None else replace(found, config={**found.config, **packed})


async def test_where_no_method_can_be_advised_one_can_be_chosen_by_hand_with_its_reason_seen() -> None:
    app = app_of(Packed())
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "no method can be used here" in " ".join(drawn(app).split())
        assert "Press m to choose a method by hand" in " ".join(drawn(app).split())
        await pilot.press("m")
        await settled(pilot)
        assert isinstance(app.screen, MethodList)
        assert "Not here: method.name = 'adalora': the model's weights are quantized" in words(app)
        await pilot.press("down", "enter")
        await settled(pilot)
        assert app.drafts[-1].method == "boft"
        assert "your choice; none is advised" in words(app)
        assert "quantized already" in (app.step.lacking() or "")
        await pilot.press("backspace")
        await settled(pilot)
        assert app.drafts[-1].method is None
        assert "Press m to choose" in words(app)


def words(app: StepApp) -> str:
    """Give what stands on the terminal in one line, without frames."""
    return " ".join(drawn(app).replace("│", " ").split())


async def test_every_focusable_thing_explains_itself() -> None:
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        titles = []
        for _ in range(2):
            found = explained(app.screen)
            assert found is not None
            assert len(found.text) > 40
            titles.append(found.title)
            await pilot.press("tab")
        assert titles == ["method (method.name)", "The recommendation"]
        await pilot.press("down", "2")
        await pilot.pause()
        found = explained(app.screen)
        assert found is not None
        assert found.title == "rank"
