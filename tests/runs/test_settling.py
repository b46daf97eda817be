"""From a draft to a recipe and its price: untouched it is the advice itself, and whatever is set never breaks it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegbox_hardware.forecast.memory import Learned
from pegbox_hardware.shape import ModelShape
from pegbox_methods.advice import choose
from pegbox_methods.advice.data_card import DataCard
from pegbox_methods.advice.goals import PRIORITIES, PURPOSES, Goal
from pegbox_methods.advice.places import places_of, planned_card
from pegbox_methods.advice.teams import with_team
from pegbox_methods.recipe import Method, MixedRows, Model, Rows, Split
from pegbox_methods.recipe_file import read_recipe, recipe_text
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import all_cards, method_names
from pegbox_runs import settling
from pegbox_runs.advising import recipe_of
from pegbox_runs.drafts import Draft, draft_of
from pegbox_runs.method_offers import for_method, offers
from pegbox_runs.models import FoundModel
from pegbox_runs.settling import Settled, Shelf
from tests.methods.advice_situations import PROFILES, falcon, mixture, model_1b5, model_8b, model_70b, model_135m, rows
from tests.runs.made_up_machines import GIB, gpu, machine

MODELS = {"135m": model_135m(), "1.5b": model_1b5(), "8b": model_8b(), "70b": model_70b(), "moe": mixture()}
CARDS = ("GTX 1650", "T4", "RTX 3060", "RTX 4090", "A100 80GB", "H100", "CPU avx512_bf16", "M2 Max")
ROWS = "/tmp/rows.jsonl"


def settle(*given: Any) -> Settled:
    """Settle on a shelf that nothing stands on yet."""
    return Shelf().settle(*given)


def found(shape: ModelShape | None, **config: Any) -> FoundModel:
    positions = {"max_position_embeddings": 8192, **config}
    return FoundModel("org/model", Path("/nowhere"), positions, shape, has_template=True, from_hub=True)


def draft(**changes: Any) -> Draft:
    given: dict[str, Any] = {"model": Model(name="org/model"), "rows": Rows(file=ROWS)}
    return Draft(**{**given, **changes})


def settled(
    values: dict[str, Any] | None = None,
    *,
    card: str = "RTX 4090",
    shape: ModelShape | None = None,
    data: DataCard | None = None,
    **changes: Any,
) -> Settled:
    place = planned_card(card, PROFILES)
    model = found(shape or model_8b())
    return settle(draft(values=values or {}, **changes), place, model, data or rows(), PROFILES, {})


@settings(deadline=None, max_examples=20)
@given(
    shape=st.sampled_from(sorted(MODELS)),
    card=st.sampled_from(CARDS),
    priority=st.sampled_from(PRIORITIES),
    purpose=st.sampled_from((None, *PURPOSES)),
    count=st.sampled_from((None, 30, 400, 3000, 50_000)),
)
def test_an_untouched_draft_settles_to_the_advice_itself_at_its_very_price(
    shape: str, card: str, priority: Any, purpose: Any, count: int | None
) -> None:
    data = None if count is None else rows(count)
    try:
        place = planned_card(card, PROFILES)
        goal = Goal(priority=priority, purpose=purpose)
        came = settle(draft(goal=goal), place, found(MODELS[shape]), data, PROFILES, {})
    except Refusal:
        return  # no such card in the table, or no method can be used there
    assert came.recipe == recipe_of(came.advice, "org/model", Path(ROWS))
    assert (came.memory, came.time, came.steps) == (came.advice.memory, came.advice.time, came.advice.steps)
    assert (came.fits, came.margin_bytes) == (came.advice.fits, came.advice.margin_bytes)
    assert came.faults == came.left_out == ()
    assert came.follows == {}


@pytest.mark.parametrize("method", method_names())
def test_each_method_can_be_chosen_and_is_priced_as_its_own_advice_is(method: str) -> None:
    came = settled(method=method, shape=model_1b5())
    assert came.card.name == came.recipe.method.name == came.advice.method == method
    assert came.faults == ()
    assert (came.memory, came.time) == (came.advice.memory, came.advice.time)
    if method != came.usual_method:
        assert came.advice.choices[0].why == f"you chose it; {came.usual_method} would be advised"
        assert came.advice.alternatives[0].what.startswith(came.usual_method)


def test_a_method_can_be_chosen_where_none_can_be_advised(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_given: Any, **_named: Any) -> Any:
        raise Refusal("no method can be used here.")

    monkeypatch.setattr(settling, "advise", refuses)
    with pytest.raises(Refusal, match="no method can be used here"):
        settled()
    came = settled(method="lokr")
    assert (came.card.name, came.usual_method, came.faults) == ("lokr", "", ())
    assert came.memory is not None
    assert came.advice.choices[0].why == "you chose it; no method would be advised here"
    with pytest.raises(Refusal, match='no method is called "lokri"'):
        settled(method="lokri")


def test_what_stands_in_the_way_of_each_method_is_offered_where_none_can_be_advised() -> None:
    shelf, model = Shelf(), found(model_8b(), quantization_config={"quant_method": "bitsandbytes"})

    def price(one: Draft) -> Settled:
        return shelf.settle(one, PLACE, model, DATA, PROFILES, {})

    came = offers(draft(), price)
    listed = came.methods
    assert came.left_out == came.shared == ()
    assert sorted(offer.name for offer in listed) == sorted(method_names())
    assert all("quantized already" in (offer.obstacle or "") for offer in listed)
    assert not any(offer.advised or offer.fits for offer in listed)


def test_what_no_method_can_do_without_is_one_refusal() -> None:
    def gone(_draft: Draft) -> Settled:
        raise Refusal("/models/mine: there is no such model folder.")

    with pytest.raises(Refusal, match="no such model folder"):
        offers(draft(), gone)


def test_what_is_told_of_the_model_is_told_with_the_advice() -> None:
    told = replace(found(model_8b()), told="the sizes are those of the catalogue")
    for method in (None, "dora"):
        came = settle(draft(method=method), PLACE, told, rows(), PROFILES, {})
        assert came.advice.warnings[0] == "the sizes are those of the catalogue"
        assert came.advice.warnings.count("the sizes are those of the catalogue") == 1


def test_a_method_that_the_profile_does_not_rank_keeps_its_own_defaults() -> None:
    came = settled(method="lokr")
    assert came.recipe.method.settings == {setting.name: setting.default for setting in came.card.settings}
    assert came.recipe.training.learning_rate == came.card.learning_rate


def test_a_value_that_is_set_moves_memory_and_time() -> None:
    plain, longer = settled(), settled({"training.length": 2048, "training.epochs": 4})
    assert plain.memory is not None
    assert longer.memory is not None
    assert longer.memory.safe_bytes > plain.memory.safe_bytes
    assert plain.time is not None
    assert longer.time is not None
    assert longer.time.seconds > 1.8 * plain.time.seconds
    assert longer.steps == 2 * (plain.steps or 0)


def test_the_effective_batch_stays_when_the_micro_batch_changes() -> None:
    came = settled({"training.micro_batch": 4})
    assert came.advice.effective_batch == 16
    assert came.recipe.training.accumulation == 4
    assert came.recipe.evaluation.micro_batch == 4
    assert "4 x 4 = 16 rows" in came.follows["training.accumulation"]
    uneven = settled({"training.micro_batch": 3})
    assert uneven.recipe.training.accumulation == 5
    assert "as near to 16 as it goes" in uneven.follows["training.accumulation"]
    both = settled({"training.micro_batch": 4, "training.accumulation": 1})
    assert both.recipe.training.accumulation == 1
    assert "training.accumulation" not in both.follows


def test_alpha_follows_the_rank_unless_it_is_set() -> None:
    assert settled({"method.settings.rank": 64}).recipe.method.settings["alpha"] == 128.0
    own = settled({"method.settings.rank": 64, "method.settings.alpha": 16.0})
    assert own.recipe.method.settings["alpha"] == 16.0
    assert own.follows == {}


def test_steps_and_time_heed_the_most_steps_packing_and_how_often_it_is_evaluated() -> None:
    plain = settled()
    assert settled({"training.max_steps": 10}).steps == 10
    assert plain.time is not None
    packed = settled({"training.order": "packed", "training.length": 2048})
    assert packed.steps is not None
    assert plain.steps is not None
    assert packed.steps < plain.steps / 3
    often = settled({"evaluation.every": 10})
    assert often.time is not None
    assert often.time.seconds > plain.time.seconds
    held_out_file = settled(split=Split(share=0.0, file="/tmp/held_out.jsonl"))
    assert held_out_file.steps == 376  # all 3000 rows, twice, 16 a step
    assert settled(rows=Rows(file=ROWS, weight=2.0)).steps == 676  # 2700 rows, each twice an epoch


def test_held_out_rows_of_their_own_take_their_time() -> None:
    split = Split(share=0.0, file="/tmp/held_out.jsonl")
    few, many = (
        settled(split=split, data=msgspec.structs.replace(rows(), held_out=count, also_held_out=1000))
        for count in (10, 3000)
    )
    assert few.steps == many.steps == 250  # 2000 rows, twice, 16 a step
    assert few.time is not None
    assert many.time is not None
    assert many.time.seconds > 2 * few.time.seconds
    drawn = settled(split=Split(share=0.5), data=msgspec.structs.replace(rows(), held_out=3000))
    assert drawn.steps == 188  # a share counts where one is drawn, whatever another file holds


def test_rows_that_are_mixed_with_others_have_no_steps_and_it_says_why() -> None:
    mixed = Rows(file=ROWS, mix=(MixedRows(file="/tmp/general.jsonl"),))
    came = settled(rows=mixed)
    assert came.steps is None
    assert came.uncounted == "more sources are mixed in, which aren't counted before the run begins"
    assert came.time is not None
    unknown = settle(draft(rows=None), PLACE, found(model_8b()), None, PROFILES, {})
    assert unknown.uncounted == ""
    assert (came.memory, came.faults) == (settled().memory, ())
    assert settled().uncounted == ""


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("training.length", 5, "expected a whole number from 8"),
        ("training.length", "long", "expected a whole number"),
        ("training.micro_batch", True, "expected a whole number"),
        ("training.epochs", float("nan"), "expected a number"),
        ("method.settings.rank", 0, "expected a whole number from 1"),
        ("method.settings.nonsense", 3, "unknown setting"),
        ("training.tomorrow", 3, "unknown key"),
        ("tomorrow.key", 3, "no recipe has such a key"),
        ("rank", 3, "no recipe has such a key"),
        ("method.name", "lora", "no recipe has such a key"),
        ("training", {"length": 3}, "no recipe has such a key"),
        ("output.note", "x" * 501, "at most 500 characters"),
    ],
)
def test_a_value_that_is_not_accepted_is_a_fault_and_the_advised_one_stands(key: str, value: Any, said: str) -> None:
    came = settled({key: value, "training.epochs" if key != "training.epochs" else "training.warmup": 0.25})
    plain = settled()
    assert [said in fault for fault in came.faults] == [True]
    assert came.left_out == (key,)
    assert came.recipe.training.length == plain.recipe.training.length
    assert came.recipe.method == plain.recipe.method
    assert 0.25 in (came.recipe.training.epochs, came.recipe.training.warmup)  # the good value beside it is taken
    assert came.memory is not None


VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.lists(st.integers()))


@settings(deadline=None, max_examples=60)
@given(
    values=st.dictionaries(
        st.sampled_from(
            [
                "training.length",
                "training.micro_batch",
                "training.accumulation",
                "training.learning_rate",
                "training.precision",
                "method.settings.rank",
                "method.settings.targets",
                "evaluation.every",
                "model.quantization",
                "seeds.training",
                "a.b.c",
                "",
            ]
        ),
        VALUES,
        max_size=4,
    )
)
def test_no_values_of_a_draft_break_the_settling(values: dict[str, Any]) -> None:
    came = SHELF.settle(draft(values=values), PLACE, SMALL, DATA, PROFILES, {})
    assert {*came.left_out} <= {*values}
    assert bool(came.left_out) <= bool(came.faults)


SHELF, PLACE, SMALL, DATA = Shelf(), planned_card("RTX 4090", PROFILES), found(model_135m()), rows()


def test_a_method_that_is_gone_is_a_fault_and_its_own_settings_are_left_alone() -> None:
    came = settled({"method.settings.frobnication": 7, "training.epochs": 4}, method="gone-method")
    assert len(came.faults) == 1
    assert 'no method is called "gone-method"' in came.faults[0]
    assert came.recipe.method.name == came.usual_method
    assert came.recipe.training.epochs == 4
    assert came.left_out == ()


def test_contradictions_with_the_method_and_the_device_are_faults() -> None:
    packed = settled({"model.quantization": "nf4"}, method="full", shape=model_135m())
    assert any("can't train on a 4-bit base" in fault for fault in packed.faults)
    long = settled({"training.length": 16384})
    assert long.faults == ("training.length = 16384: the model was built for 8192 tokens; expected at most that.",)
    unknown = settled({"method.settings.targets": ["q_proj", "no_such_map"]})
    assert [fault for fault in unknown.faults if "no such matrix" in fault]
    assert unknown.memory is None
    cpu = settled(method="qlora", card="T4", shape=falcon())
    assert any(fault.startswith("method.name = 'qlora'") for fault in cpu.faults)


def test_a_broken_split_is_told_and_what_was_set_is_kept() -> None:
    came = settled({"training.epochs": 4}, split=Split(share=0.1, file="/tmp/held_out.jsonl"))
    assert any("contradicts split.file" in fault for fault in came.faults)
    assert came.recipe.training.epochs == 4
    assert came.recipe.rows == Rows(file=ROWS), "the rows are as good as before"
    assert came.recipe.split == Split()


def test_a_repeated_recipe_settles_to_itself() -> None:
    once = settled({"training.length": 768, "method.settings.rank": 24}, method="dora")
    again = settle(draft_of(once.recipe), PLACE, found(model_8b()), rows(), PROFILES, {})
    assert again.recipe == once.recipe
    assert again.faults == ()


@pytest.mark.parametrize("method", ["lora", "dora", "lokr", "fourierft"])
def test_what_followed_in_a_run_follows_when_it_is_repeated(method: str) -> None:
    once = settled({"method.settings.rank": 24} if method in ("lora", "dora") else {}, method=method)
    repeated = draft_of(once.recipe)
    again = settle(repeated, PLACE, found(model_8b()), rows(), PROFILES, {})
    assert again.recipe == once.recipe
    values = {**repeated.values, "training.micro_batch": 2, "training.accumulation": 8}
    if method in ("lora", "dora"):
        values["method.settings.rank"] = 48
    changed = settle(msgspec.structs.replace(repeated, values=values), PLACE, found(model_8b()), rows(), PROFILES, {})
    assert changed.recipe.evaluation.micro_batch == 2
    if method in ("lora", "dora"):
        assert changed.recipe.method.settings["alpha"] == 2 * (once.recipe.method.settings["alpha"])


def test_what_was_set_apart_stays_so_when_a_run_is_repeated() -> None:
    own = {"method.settings.alpha": 16.0, "evaluation.micro_batch": 3, "training.micro_batch": 4}
    assert own.items() <= draft_of(settled(own).recipe).values.items()
    gone = msgspec.structs.replace(settled().recipe, method=Method(name="gone", settings={"rank": 8, "alpha": 16}))
    assert draft_of(gone).values["method.settings.alpha"] == 16


def test_mixed_rows_and_a_named_revision_come_through(tmp_path: Path) -> None:
    mixed = Rows(file=ROWS, mix=(MixedRows(file="/tmp/general.jsonl", share=0.1),), columns={"prompt": "frage"})
    came = settled(rows=mixed, model=Model(name="org/model", revision="abc"))
    assert came.faults == ()
    assert came.recipe.rows == mixed
    assert came.recipe.model.revision == "abc"
    file = tmp_path / "recipe.toml"
    file.write_text(recipe_text(came.recipe))
    assert read_recipe(file) == came.recipe


def test_without_rows_the_recipe_is_complete_but_for_their_name() -> None:
    came = settle(draft(rows=None), PLACE, found(model_8b()), None, PROFILES, {})
    assert came.recipe.rows.file == "-"
    assert came.steps is None
    assert came.faults == ()


def test_a_model_without_a_shape_is_refused_in_a_sentence() -> None:
    with pytest.raises(Refusal, match="doesn't tell the model's shape"):
        settle(draft(), PLACE, found(None), rows(), PROFILES, {})


def test_where_nothing_fits_the_leanest_stands_with_what_would_help() -> None:
    came = settled(card="GTX 1650", shape=model_70b())
    assert not came.fits
    assert came.margin_bytes < 0
    assert came.advice.changes
    chosen = settled(card="GTX 1650", shape=model_70b(), method="lokr")
    assert not chosen.fits
    assert chosen.advice.changes


def test_what_a_probe_taught_counts_on_this_machine_and_not_on_a_planned_card() -> None:
    taught = {PLACE.name: Learned(context_bytes=3 * 2**30, reserved_ratio=1.5)}
    here = msgspec.structs.replace(PLACE, planned=False)
    plain = settle(draft(), PLACE, SMALL, DATA, PROFILES, taught)
    learned = settle(draft(), here, SMALL, DATA, PROFILES, taught)
    assert plain.memory is not None
    assert learned.memory is not None
    assert learned.memory.card_bytes > plain.memory.card_bytes + 2 * 2**30
    assert learned.memory == learned.advice.memory


def test_a_changed_value_costs_no_further_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def counted(*given: Any, **named: Any) -> Any:
        asked.append("usual")
        return choose.advise(*given, **named)

    monkeypatch.setattr(settling, "advise", counted)
    shelf = Shelf()
    for length in (256, 512, 1024):
        shelf.settle(draft(values={"training.length": length}), PLACE, SMALL, DATA, PROFILES, {})
        shelf.settle(draft(method="dora", values={"training.length": length}), PLACE, SMALL, DATA, PROFILES, {})
    assert asked == ["usual"]
    shelf.settle(draft(goal=Goal(priority="memory")), PLACE, SMALL, DATA, PROFILES, {})
    assert asked == ["usual", "usual"]


def test_every_method_is_offered_with_what_stands_in_its_way() -> None:
    shelf, falcon_model = Shelf(), found(falcon())
    asked = draft(serving="vllm", values={"method.settings.rank": 4, "training.length": 256})

    def price(one: Draft) -> Settled:
        return shelf.settle(one, PLACE, falcon_model, DATA, PROFILES, {})

    came = offers(asked, price)
    found_offers = came.methods
    assert came.left_out == came.shared == ()
    assert sorted(offer.name for offer in found_offers) == sorted(method_names())
    assert found_offers[0].advised
    by_name = {offer.name: offer for offer in found_offers}
    assert "unquantized without a word" in (by_name["qlora"].obstacle or "")
    assert "vLLM" in (by_name["dora"].unservable or "")
    assert by_name["lora"].unservable is None
    assert by_name["boft"].seconds_ratio is not None
    assert for_method(asked, "dora").values == {"training.length": 256}


def test_a_bad_value_is_told_once_and_stands_in_no_methods_way() -> None:
    shelf = Shelf()

    def price(one: Draft) -> Settled:
        return shelf.settle(one, PLACE, SMALL, DATA, PROFILES, {})

    plain = offers(draft(), price)
    came = offers(draft(values={"training.length": 5, "training.activation_checkpointing": "on"}), price)
    assert [fault.partition(":")[0] for fault in came.shared] == ["training.length = 5"]
    by_name = {offer.name: offer for offer in came.methods}
    assert by_name["lora"].obstacle is None
    assert by_name["lora"].fits
    unable = {offer.name for offer in came.methods if offer.obstacle} - {o.name for o in plain.methods if o.obstacle}
    assert unable == {card.name for card in all_cards()[0] if "checkpointing" in card.cannot}


def over_four(values: dict[str, Any] | None = None) -> Settled:
    place = with_team(planned_card("RTX 4090", PROFILES), PROFILES, devices=4)
    return settle(draft(values=values or {}), place, found(model_8b()), rows(), PROFILES, {})


def test_several_devices_are_a_part_of_the_recipe_and_of_its_price() -> None:
    four = over_four()
    assert (four.recipe.devices.processes, four.recipe.devices.engine) == (4, "ddp")
    assert four.recipe.training.accumulation % 4 == 0
    alone = settled()
    assert four.time is not None
    assert alone.time is not None
    assert four.time.tokens_per_second > 3 * alone.time.tokens_per_second
    assert four.memory == four.advice.memory
    assert four.margin_bytes == four.advice.margin_bytes


@pytest.mark.parametrize("count", [1, 2, 3, 8, 16, 32])
def test_a_number_of_devices_set_by_hand_keeps_a_steps_rows_where_it_can(count: int) -> None:
    taken = over_four({"devices.processes": count})
    training = taken.recipe.training
    assert taken.recipe.devices.processes == count
    assert training.accumulation % count == 0
    batch = taken.advice.effective_batch
    made = training.micro_batch * training.accumulation
    assert made == batch or (batch % count and abs(made - batch) <= max(count / 2, count - batch))
    if count == 1:
        assert not taken.recipe.devices.launched


def test_the_rows_of_a_step_stay_when_the_micro_batch_is_set_over_several_devices() -> None:
    taken = over_four({"training.micro_batch": 2})
    assert (taken.recipe.training.accumulation, taken.recipe.devices.processes) == (8, 4)


def test_the_wizard_takes_the_kind_of_cards_that_the_command_line_would() -> None:
    """Of two kinds that suffice the faster, though the other has more room; with one process the one it is shown."""
    frees = {"memory_total": 48 * GIB, "memory_free": 47 * GIB}
    roomy = [gpu(index=n, uuid=f"A{n}", name="NVIDIA RTX A6000", compute_capability="8.6", **frees) for n in (0, 1)]
    smaller = {"memory_total": 46 * GIB, "memory_free": 45 * GIB}
    fast = [gpu(index=n, uuid=f"L{n}", name="NVIDIA L40S", **smaller) for n in (2, 3)]
    here = machine(*roomy, *fast, memory_total=512 * GIB, memory_available=480 * GIB)
    first, *others = places_of(here, PROFILES)
    came = settle(draft(), first, found(model_8b()), rows(), PROFILES, {}, others)
    assert (first.name, came.place.name) == ("NVIDIA RTX A6000", "NVIDIA L40S")
    assert came.recipe.devices.processes == 2
    assert came.place.team is not None
    assert came.place.team.uuids == ("L2", "L3")
    alone = settle(draft(values={"devices.processes": 1}), first, found(model_8b()), rows(30), PROFILES, {}, others)
    assert alone.recipe.devices.processes == 1


def test_a_method_that_one_process_trains_is_priced_on_the_card_that_process_gets() -> None:
    """Four smaller cards carry what is advised; what one process trains alone starts on the roomy one."""
    big = gpu(index=0, uuid="A0", name="NVIDIA A100-SXM4-80GB", compute_capability="8.0")
    big = msgspec.structs.replace(big, memory_total=80 * GIB, memory_free=79 * GIB)
    small = [gpu(index=n, uuid=f"R{n}", name="NVIDIA GeForce RTX 4090") for n in range(1, 5)]
    small = [msgspec.structs.replace(card, memory_total=24 * GIB, memory_free=23 * GIB) for card in small]
    here = machine(big, *small, memory_total=512 * GIB, memory_available=480 * GIB)
    first, *rest = places_of(here, PROFILES)
    others = tuple(place for place in rest if place.team is not None)
    several = settle(draft(), first, found(model_1b5()), rows(), PROFILES, {}, others)
    assert (several.place.name, several.recipe.devices.processes) == ("NVIDIA GeForce RTX 4090", 4)
    for one in (draft(method="full"), draft(values={"devices.processes": 1})):
        came = settle(one, first, found(model_1b5()), rows(), PROFILES, {}, others)
        assert came.recipe.devices.processes == 1
        assert came.fits
        assert came.place.name == "NVIDIA A100-SXM4-80GB"
