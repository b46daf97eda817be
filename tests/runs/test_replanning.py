from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pegbox_hardware.model_config import shape_of
from pegbox_hardware.profiles import load_profiles
from pegbox_methods.advice.places import planned_card
from pegbox_methods.events import AnyEvent, Change, Phase, PhaseName, Prepared, Sample, Started, WorkerFailed
from pegbox_methods.recipe import Evaluation, Method, Model, Recipe, Rows, Training
from pegbox_methods.recipe_file import complete_recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_runs import less_memory, replanning, rungs
from pegbox_runs.changes import overrides
from pegbox_runs.less_memory import need_less
from pegbox_runs.replanning import Replan, Shortage, Work, replan, work_in_hand
from pegbox_runs.run_state import fold
from pegbox_runs.rungs import Ground
from tests.models_by_name import CONFIGS

CARD = "cuda:0"


def asked(
    method: str = "lora", *, model: str = "llama-3.1-8b", evaluation: Evaluation | None = None, **training: Any
) -> Recipe:
    usual = {"micro_batch": 8, "accumulation": 2, "length": 2048}
    written = Recipe(
        model=Model(name=model),
        rows=Rows(file="rows.jsonl"),
        method=Method(name=method),
        training=Training(**{**usual, **training}),
        evaluation=evaluation or Evaluation(),
    )
    return complete_recipe(written, find_card(method), file="test")


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Models by their published configs, on a card of 24 GiB."""
    monkeypatch.setattr(rungs, "_shape_of", lambda recipe: shape_of(CONFIGS[recipe.model.name])[0])
    monkeypatch.setattr(rungs, "bitsandbytes_is_here", lambda: True)
    on_card(monkeypatch, "GeForce RTX 4090")
    return monkeypatch


def on_card(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(rungs, "_place", lambda _machine, _device: planned_card(name, load_profiles()))


def short(recipe: Recipe, work: Work = "training", device: str | None = CARD) -> Shortage:
    return Shortage(recipe=recipe, work=work, device=device)


def changed(recipe: Recipe, changes: tuple[Change, ...]) -> Recipe:
    for change in changes:
        part, name = change.key.split(".")
        present = getattr(recipe, part)
        recipe = msgspec.structs.replace(recipe, **{part: msgspec.structs.replace(present, **{name: change.after})})
    return recipe


def ladder(recipe: Recipe, work: Work = "training") -> Iterator[tuple[Recipe, Replan]]:
    """Climb down until nothing is left; each rung with the recipe that it makes."""
    for _ in range(50):
        found = need_less(short(recipe, work))
        if found is None:
            return
        recipe = changed(recipe, found.changes)
        yield recipe, found
    pytest.fail("the ladder doesn't end")


def in_order(recipe: Recipe, work: Work = "training") -> list[tuple[str, ...]]:
    return [tuple(change.key.split(".")[1] for change in found.changes) for _, found in ladder(recipe, work)]


@pytest.mark.usefixtures("planned")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    model=st.sampled_from(["llama-3.1-8b", "qwen2.5-0.5b", "llama-3.2-3b"]),
    method=st.sampled_from(["lora", "qlora", "dora", "full", "adalora", "lora-plus", "ia3"]),
    micro_batch=st.sampled_from([1, 2, 3, 6, 8, 12, 30]),
    accumulation=st.sampled_from([1, 2, 5, 16]),
    length=st.sampled_from([256, 1024, 4096]),
    checkpointing=st.sampled_from(["auto", "on", "off"]),
)
def test_every_rung_keeps_the_effective_batch_and_lowers_the_forecast_until_none_is_left(
    model: str, method: str, micro_batch: int, accumulation: int, length: int, checkpointing: str
) -> None:
    card = find_card(method)
    if checkpointing == "on" and "checkpointing" in card.cannot:
        checkpointing = "off"
    before = asked(
        method,
        model=model,
        micro_batch=micro_batch,
        accumulation=accumulation,
        length=length,
        activation_checkpointing=checkpointing,
    )
    ground = Ground(before, CARD)
    for after, found in ladder(before):
        assert after.training.micro_batch * after.training.accumulation == micro_batch * accumulation
        present, price = ground.price(before), ground.price(after)
        assert present is not None
        assert price is not None
        assert price.training < present.training
        assert after != before
        assert found.text
        assert "optimizer" not in card.cannot or after.training.optimizer == before.training.optimizer
        before = after


def test_checkpointing_and_micro_batches_go_before_anything_that_changes_the_numbers(
    planned: pytest.MonkeyPatch,
) -> None:
    keys = in_order(asked("full", model="qwen2.5-0.5b", activation_checkpointing="off"))
    first = next(place for place, names in enumerate(keys) if "optimizer" in names)
    assert 0 < first == len(keys) - 2
    assert keys[first:] == [("optimizer",), ("optimizer",)]


def test_the_cheapest_rung_that_is_enough_is_taken(planned: pytest.MonkeyPatch) -> None:
    on_card(planned, "A100 SXM4 80GB")
    recipe = asked(activation_checkpointing="off", micro_batch=4, accumulation=1)
    after, found = next(ladder(recipe))
    ground = Ground(recipe, CARD)
    present, taken = ground.price(recipe), ground.price(after)
    assert present is not None
    assert taken is not None
    target = min(less_memory.ENOUGH * present.training, ground.place.usable_bytes)
    assert taken.training <= target
    for rung in ground.rungs(recipe):
        if rung.numerics == 0 and rung.price is not None and rung.price.training <= target:
            assert taken.relative_seconds <= less_memory.AS_FAST * rung.price.relative_seconds
    assert "times as long" in found.text


def test_the_text_says_what_changes_what_it_costs_and_what_stays(planned: pytest.MonkeyPatch) -> None:
    found = need_less(short(asked()))
    assert found is not None
    assert [(change.key, change.before, change.after) for change in found.changes] == [
        ("training.micro_batch", 8, 2),
        ("training.accumulation", 2, 8),
    ]
    assert "2 rows go through the model at once in place of 8" in found.text
    assert "GiB in place of" in found.text
    assert "The effective batch stays 16 (8 x 2 = 2 x 8)" in found.text
    assert "from the same rows, except that dropout, where there is any, leaves out other values" in found.text
    assert overrides(found.changes) == ["training.micro_batch=2", "training.accumulation=8"]


def test_averages_in_8_bits_are_said_to_begin_afresh(planned: pytest.MonkeyPatch) -> None:
    *_, eight, paged = [found for _, found in ladder(asked("full", model="qwen2.5-0.5b", micro_batch=1))]
    assert [change.after for change in eight.changes] == ["adamw_8bit"]
    assert "begins them afresh" in eight.text
    assert "dropout" not in eight.text
    assert [(change.before, change.after) for change in paged.changes] == [("adamw_8bit", "paged_adamw_8bit")]
    assert "keeps its averages as they are" in paged.text
    assert "afresh" not in paged.text


def test_without_bitsandbytes_no_optimizer_of_8_bits_is_proposed(planned: pytest.MonkeyPatch) -> None:
    planned.setattr(rungs, "bitsandbytes_is_here", lambda: False)
    assert not any("optimizer" in names for names in in_order(asked("full", model="qwen2.5-0.5b")))


def test_a_model_that_cannot_be_priced_takes_the_rungs_in_a_fixed_order(planned: pytest.MonkeyPatch) -> None:
    planned.setattr(rungs, "_shape_of", lambda _recipe: None)
    recipe = asked(activation_checkpointing="off", micro_batch=4)
    assert in_order(recipe) == [
        ("activation_checkpointing",),
        ("micro_batch", "accumulation"),
        ("micro_batch", "accumulation"),
        ("optimizer",),
        ("optimizer",),
    ]
    found = need_less(short(recipe))
    assert found is not None
    assert "isn't forecast" in found.text


def test_a_model_that_is_gone_leaves_nothing_to_propose(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise Refusal("it is gone.")

    monkeypatch.setattr(rungs, "find_card", gone)
    assert need_less(short(asked())) is None


def test_an_evaluation_takes_fewer_rows_and_the_training_stays(planned: pytest.MonkeyPatch) -> None:
    steps = list(ladder(asked("full", model="qwen2.5-0.5b", micro_batch=6), "evaluation"))
    rows = [after.evaluation_batch for after, _ in steps]
    assert rows[:2] == [3, 1]
    assert [found.changes[0].before for _, found in steps[:2]] == [6, 3]
    assert steps[1][0].training == asked("full", model="qwen2.5-0.5b", micro_batch=6).training
    assert all(change.key == "training.optimizer" for _, found in steps[2:] for change in found.changes)


def test_an_answer_is_shortened_and_then_left_out() -> None:
    steps = list(ladder(asked(evaluation=Evaluation(samples=3, sample_tokens=64)), "sample"))
    assert [(after.evaluation.samples, after.evaluation.sample_tokens) for after, _ in steps] == [(3, 16), (0, 16)]


def started(seq: int) -> Started:
    return Started(
        seq=seq,
        run="r",
        method="lora",
        model="m",
        host="h",
        supervisor_pid=1,
        supervisor_mark="",
        worker_pid=2,
        worker_mark="",
        version="1",
    )


def prepared(device: str) -> Prepared:
    return Prepared(
        steps=10,
        rows_trained=1,
        rows_evaluated=1,
        tokens=1,
        tokens_trained=1,
        trainable_weights=1,
        model_weights=1,
        device=device,
        precision="float32",
        activation_checkpointing=False,
        loss_path="trl-fused",
    )


def failed(where: str, *, seq: int, kind: str = "device-memory") -> WorkerFailed:
    return WorkerFailed(seq=seq, kind=kind, what="", where=where, remedy="")  # type: ignore[arg-type]


def phase(name: PhaseName) -> Phase:
    return Phase(seq=3, phase=name)


@pytest.mark.parametrize(
    ("events", "work"),
    [
        ([started(1), failed("training at step 3", seq=2)], "training"),
        ([started(1), failed("evaluating at step 3", seq=2)], "evaluation"),
        ([started(1), failed("evaluating", seq=2)], "evaluation"),
        ([started(1), failed("answering question 2", seq=2)], "sample"),
        ([started(1), failed("loading", seq=2)], "other"),
        ([started(1), failed("preparing", seq=2)], "start"),
        ([started(1), failed("preparing", seq=2, kind="host-memory")], "sample"),  # one of several, killed
        ([started(1), phase("training")], "training"),
        ([started(1), phase("evaluating")], "evaluation"),
        ([started(1), phase("judging")], "evaluation"),
        ([started(1), failed("judging held-out rows", seq=2)], "evaluation"),
        ([started(1), failed("judging answers, at question 3", seq=2)], "other"),
        ([started(1), phase("saving")], "other"),
        ([started(1), phase("preparing")], "sample"),
        ([failed("evaluating", seq=1), started(2), phase("training")], "training"),
        ([], "other"),
    ],
)
def test_what_was_in_hand_is_read_off_the_newest_workers_own_words(events: list[AnyEvent], work: Work) -> None:
    assert work_in_hand(fold(events)) == work


def test_a_worker_killed_after_its_questions_was_not_at_one() -> None:
    sample = Sample(seq=4, step=0, index=0, question="", answer="", expected="")
    assert work_in_hand(fold([started(1), phase("preparing"), sample])) == "start"


@pytest.mark.parametrize(
    ("device", "kind", "asks"),
    [("cuda:0", "host-memory", False), ("cuda:0", "device-memory", True), ("cpu", "host-memory", True)],
)
def test_the_machines_own_memory_is_not_the_cards(
    device: str, kind: str, asks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_shortages: list[Shortage] = []

    def asking(shortage: Shortage) -> Replan:
        given_shortages.append(shortage)
        return Replan((), "")

    monkeypatch.setattr(replanning, "_asked", asking)
    state = fold([started(1), prepared(device), failed("training at step 3", seq=9, kind=kind)])
    assert (replan(asked(), state) is not None) is asks
    assert [shortage.device for shortage in given_shortages] == ([device] if asks else [])


def test_the_answer_is_found_in_a_process_of_its_own() -> None:
    state = fold([started(1), prepared("cpu"), failed("training at step 3", seq=9, kind="host-memory")])
    recipe = asked(model="bundled", micro_batch=4, accumulation=4, length=256)
    found = replan(recipe, state)
    assert found is not None
    after = changed(recipe, found.changes)
    assert after.training.micro_batch * after.training.accumulation == 16
    assert after != recipe


def test_a_process_that_fails_is_no_empty_ladder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replanning, "MODULE", "pegbox_runs.no_such_module")
    with pytest.raises(Refusal, match="couldn't be found out"):
        replan(asked(), fold([started(1), failed("training", seq=2)]))
