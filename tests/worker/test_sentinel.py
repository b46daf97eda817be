from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import TrainerCallback, TrainingArguments

from pegbox_hardware.forecast.memory import Forecast
from pegbox_hardware.forecast.time import TimeForecast
from pegbox_methods.events import Check
from pegbox_methods.registry import method_names
from pegbox_methods.torch_half import Attached
from pegbox_runs import rungs
from pegbox_worker.certify.bench import Bench, open_bench
from pegbox_worker.failure import SentinelFailed, explain
from pegbox_worker.sentinel import sentinel
from pegbox_worker.sentinel.against_forecast import Expectation
from pegbox_worker.sentinel.base_weights import BaseWeights
from pegbox_worker.sentinel.gradients import Gradients, NoGradient
from pegbox_worker.sentinel.learning_rate import LearningRate, factor
from pegbox_worker.sentinel.movement import Movement
from pegbox_worker.sentinel.trained_share import check_share
from pegbox_worker.token_rows import RowFacts
from pegbox_worker.trainer import MeasuredTrainer
from tests.methods_at_work import one_thread, recipe
from tests.watched_run import watched_run, without_callbacks

LORA_A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight"


@pytest.fixture(scope="module")
def bench() -> Bench:
    return open_bench()


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture
def short_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentinel, "WINDOW", 4)


class At(TrainerCallback):  # type: ignore[misc]
    """Does something at one of the trainer's hooks; from which step on is counted in steps that are done."""

    def __init__(self, hook: str, harm: Callable[..., None], *, step: int = 0) -> None:
        def when(_args: Any, state: Any, _control: Any, **named: Any) -> None:
            if state.global_step >= step:
                harm(**named)

        setattr(self, hook, when)


def noisy(trainer: MeasuredTrainer) -> None:
    """Let every forward pass draw, evaluations too."""
    trainer.model.get_input_embeddings().register_forward_hook(
        lambda _module, _inputs, output: functional.dropout(output, 0.2, training=True)
    )


def test_a_sound_run_passes_and_is_told_once_after_twenty_steps(bench: Bench, tmp_path: Path) -> None:
    seen = watched_run(bench, tmp_path, "lora", 22)
    assert seen.error is None
    assert [event.step for event in seen.inspected] == [20]
    assert {check.verdict for check in seen.inspected[0].checks} == {"passed", "not-applicable"}
    assert {check.name for check in seen.inspected[0].checks if check.verdict == "not-applicable"} == {
        "speed",
        "memory",
    }
    assert not seen.notices
    assert 0 < seen.inspected[0].seconds < 5


@pytest.mark.usefixtures("short_window")
def test_looking_changes_no_step_and_draws_no_random_number(bench: Bench, tmp_path: Path) -> None:
    plain = watched_run(bench, tmp_path / "plain", "lora", 6, every=3, watching=False, after_making=noisy)
    seen = watched_run(bench, tmp_path / "watched", "lora", 6, every=3, after_making=noisy)
    assert not plain.told
    assert [event.step for event in seen.inspected] == [4]
    assert seen.losses == plain.losses
    assert len(seen.losses) == 6


def test_a_run_of_few_steps_is_told_at_its_end(bench: Bench, tmp_path: Path) -> None:
    seen = watched_run(bench, tmp_path, "lora", 3)
    assert [event.step for event in seen.inspected] == [3]
    assert seen.check("gradients").verdict == "passed"


@pytest.mark.usefixtures("short_window")
def test_a_resumed_run_is_looked_at_anew_from_its_first_step(bench: Bench, tmp_path: Path) -> None:
    whole = watched_run(bench, tmp_path / "whole", "lora", 8, every=3)
    kept = tmp_path / "whole" / "run" / "checkpoints" / "checkpoint-3"
    resumed = watched_run(bench, tmp_path / "resumed", "lora", 8, every=3, resume_from=kept)
    assert resumed.error is None
    assert resumed.losses == whole.losses[3:]
    assert [event.step for event in resumed.inspected] == [7]
    assert resumed.check("learning-rate").verdict == "passed"


def test_a_frozen_weight_that_a_callback_changes_ends_the_run(bench: Bench, tmp_path: Path) -> None:
    def harm(model: nn.Module, **_: Any) -> None:
        weight = dict(model.named_parameters())["base_model.model.model.layers.1.mlp.up_proj.base_layer.weight"]
        weight.data.mul_(1.001)

    seen = watched_run(bench, tmp_path, "lora", 4, beside=[At("on_step_end", harm, step=2)])
    assert isinstance(seen.error, SentinelFailed)
    assert "layers.1.mlp.up_proj" in str(seen.error)
    assert seen.check("base-unchanged").verdict == "failed"
    assert explain(seen.error, "training").kind == "inspection"


@pytest.mark.usefixtures("short_window")
def test_a_frozen_weight_that_changes_late_is_found_at_the_next_evaluation(bench: Bench, tmp_path: Path) -> None:
    def harm(model: nn.Module, **_: Any) -> None:
        next(weight for weight in model.parameters() if not weight.requires_grad).data.add_(1)

    seen = watched_run(bench, tmp_path, "lora", 8, every=6, beside=[At("on_step_end", harm, step=5)])
    assert [event.step for event in seen.inspected] == [4, 6]
    assert isinstance(seen.error, SentinelFailed)
    assert len(seen.losses) == 6


def test_a_tensor_without_a_gradient_is_named_and_the_run_goes_on(bench: Bench, tmp_path: Path) -> None:
    def harm(model: nn.Module, **_: Any) -> None:
        dict(model.named_parameters())[LORA_A].grad = None

    seen = watched_run(bench, tmp_path, "lora", 4, beside=[At("on_pre_optimizer_step", harm)])
    assert seen.error is None
    assert seen.check("gradients").verdict == "unsure"
    assert LORA_A in seen.notices["sentinel-gradients"]


@pytest.mark.parametrize(
    ("steps", "warmup", "verdict"), [(1, 0, "not-applicable"), (2, 0, "passed"), (2, 1, "not-applicable")]
)
def test_a_run_too_short_for_all_maps_to_get_a_gradient_raises_no_alarm(
    steps: int, warmup: int, verdict: str, bench: Bench, tmp_path: Path
) -> None:
    seen = watched_run(bench, tmp_path, "lora", steps, warmup=warmup)
    assert seen.error is None
    assert seen.check("gradients").verdict == verdict
    assert "sentinel-gradients" not in seen.notices


def test_an_adapter_that_gets_no_gradient_ends_the_run(bench: Bench, tmp_path: Path) -> None:
    def harm(model: nn.Module, **_: Any) -> None:
        model.zero_grad()

    seen = watched_run(bench, tmp_path, "lora", 4, beside=[At("on_pre_optimizer_step", harm)])
    assert isinstance(seen.error, NoGradient)
    assert not any(seen.losses[1:])


@pytest.mark.parametrize(("gradient", "fails"), [(None, True), (0.0, True), (0.5, False), (math.nan, False)])
def test_a_gradient_counts_if_it_is_not_all_zero(gradient: float | None, fails: bool) -> None:
    model = nn.Linear(2, 2)
    if gradient is not None:
        model.weight.grad = torch.full((2, 2), gradient)
    looking = Gradients(model)
    if fails:
        with pytest.raises(NoGradient, match="no weight of the adapter got a gradient"):
            looking.look()
    else:
        assert list(looking.look()) == ["weight"]
        assert "bias" in looking.check(steps_with_rate=2).text


def test_a_rate_that_something_sets_to_zero_ends_the_run(bench: Bench, tmp_path: Path) -> None:
    def harm(optimizer: Any, **_: Any) -> None:
        for group in optimizer.param_groups:
            group["lr"] = 0.0

    seen = watched_run(bench, tmp_path, "lora", 4, beside=[At("on_pre_optimizer_step", harm)])
    assert isinstance(seen.error, SentinelFailed)
    assert "rate 0 where the schedule says" in str(seen.error)


def test_an_optimizer_that_holds_other_weights_ends_the_run(bench: Bench, tmp_path: Path) -> None:
    def of_copies(attached: Attached) -> Attached:
        copies = [weight.detach().clone() for weight in attached.model.parameters() if weight.requires_grad]
        return dataclasses.replace(attached, optimizer=torch.optim.AdamW(copies, lr=1e-3))

    seen = watched_run(bench, tmp_path, "lora", 4, broken=of_copies)
    assert isinstance(seen.error, SentinelFailed)
    assert "no trained weight moved" in str(seen.error)


def test_an_optimizer_that_lacks_some_weights_is_told(bench: Bench, tmp_path: Path) -> None:
    def of_all_but_one(attached: Attached) -> Attached:
        known = [
            weight for name, weight in attached.model.named_parameters() if weight.requires_grad and name != LORA_A
        ]
        return dataclasses.replace(attached, optimizer=torch.optim.AdamW(known, lr=2e-4))

    seen = watched_run(bench, tmp_path, "lora", 4, broken=of_all_but_one)
    assert seen.error is None
    assert LORA_A in seen.notices["sentinel-weights-move"]


def test_a_seed_that_is_not_the_recipes_is_told(bench: Bench, tmp_path: Path) -> None:
    seen = watched_run(bench, tmp_path, "lora", 2, beside=[At("on_train_begin", lambda **_: torch.manual_seed(7))])
    assert "torch's is 7" in seen.notices["sentinel-seed"]


def test_a_dropout_that_evaluations_do_not_turn_off_is_told(bench: Bench, tmp_path: Path) -> None:
    seen = watched_run(bench, tmp_path, "lora", 2, after_making=noisy)
    assert "evaluations draw at random" in seen.notices["sentinel-evaluation-repeatable"]


def test_a_module_that_does_not_heed_eval_is_named(bench: Bench, tmp_path: Path) -> None:
    class Stubborn(nn.Dropout):
        def train(self, mode: bool = True) -> Stubborn:
            super().train(True)
            return self

    def stubborn(attached: Attached) -> Attached:
        attached.model.get_submodule("base_model.model.model.layers.0").add_module("extra", Stubborn())
        return attached

    seen = watched_run(bench, tmp_path, "lora", 2, broken=stubborn)
    assert "layers.0.extra" in seen.notices["sentinel-evaluation-repeatable"]


def test_adalora_whose_callback_is_missing_ends_the_run(bench: Bench, tmp_path: Path) -> None:
    seen = watched_run(bench, tmp_path, "adalora", 8, settings={"interval": 2}, broken=without_callbacks)
    assert isinstance(seen.error, SentinelFailed)
    assert "nothing calls AdaLoRA's step" in str(seen.error)


@pytest.mark.usefixtures("short_window")
def test_adaloras_budget_is_held_against_its_schedule_during_the_run(bench: Bench, tmp_path: Path) -> None:
    seen = watched_run(bench, tmp_path, "adalora", 12, settings={"interval": 5}, every=9)
    assert seen.error is None
    assert [check.verdict for event in seen.inspected for check in event.checks if check.name == "budget"] == [
        "not-applicable",
        "passed",
    ]
    assert seen.check("budget").verdict == "passed"
    assert "as scheduled" in seen.check("budget").text


def inspecting(answer: Callable[[int], Iterable[Check]]) -> Callable[[Attached], Attached]:
    return lambda attached: dataclasses.replace(attached, inspect=answer)


def test_what_a_method_says_of_itself_is_heeded(bench: Bench, tmp_path: Path) -> None:
    def failing(step: int) -> Iterable[Check]:
        yield Check(name="own", verdict="failed", text=f"nothing is as it should be after {step}")

    seen = watched_run(bench, tmp_path, "lora", 2, broken=inspecting(failing))
    assert isinstance(seen.error, SentinelFailed)
    assert str(seen.error) == "nothing is as it should be after 2"


def test_a_method_whose_own_look_breaks_is_told_and_costs_nothing_else(bench: Bench, tmp_path: Path) -> None:
    def raising(_step: int) -> Iterable[Check]:
        raise KeyError("gone")

    seen = watched_run(bench, tmp_path, "lora", 2, broken=inspecting(raising))
    assert seen.error is None
    assert "KeyError" in seen.notices["sentinel-method"]


@pytest.mark.slow
def test_no_method_of_the_zoo_raises_a_false_alarm(bench: Bench, tmp_path: Path) -> None:
    alarms = {}
    for name in method_names():
        seen = watched_run(bench, tmp_path / name, name, 5)
        doubts = [check for event in seen.inspected for check in event.checks if check.verdict in ("unsure", "failed")]
        if seen.error is not None or doubts or not seen.inspected:
            alarms[name] = (seen.error, doubts)
    assert not alarms


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8])
@pytest.mark.parametrize("shape", [(3,), (40, 30), (300, 500)])
def test_a_frozen_tensor_is_sampled_whatever_its_kind(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    model = nn.Module()
    model.register_parameter("kept", nn.Parameter(torch.zeros(shape, dtype=dtype), requires_grad=False))
    looking = BaseWeights(model)
    assert looking.check().verdict == "passed"
    model.kept.data.add_(1)
    assert looking.check().verdict == "failed"


def test_a_tensor_that_does_not_lie_in_one_piece_is_sampled_without_a_copy_of_all_of_it() -> None:
    model = nn.Module()
    model.register_parameter("kept", nn.Parameter(torch.zeros(600, 500).t(), requires_grad=False))
    looking = BaseWeights(model)
    model.kept.data.add_(1)
    assert looking.check().verdict == "failed"


def test_scales_of_a_packed_matrix_are_looked_at_too() -> None:
    class Packed:
        absmax = torch.ones(8)

    model = nn.Module()
    model.register_parameter("kept", nn.Parameter(torch.zeros(8, dtype=torch.uint8), requires_grad=False))
    model.kept.quant_state = Packed()
    looking = BaseWeights(model)
    Packed.absmax[3] = 2
    assert "kept.absmax" in looking.check().text


def test_where_all_trains_there_is_no_base_to_look_at() -> None:
    assert BaseWeights(nn.Linear(2, 2)).check().verdict == "not-applicable"


def test_a_warm_up_that_has_not_begun_to_rise_is_no_failure() -> None:
    model = nn.Linear(2, 2)
    model.weight.grad = torch.ones(2, 2)
    moving = Movement()
    moving.follow(Gradients(model).look())
    moving.look()
    assert moving.check(steps=1, steps_with_rate=0).verdict == "not-applicable"
    assert moving.check(steps=2, steps_with_rate=1).verdict == "failed"
    model.weight.data.add_(1e-4)
    moving.look()
    assert moving.check(steps=3, steps_with_rate=2).verdict == "passed"


def test_steps_below_the_resolution_of_a_number_format_are_told() -> None:
    model = nn.Linear(2, 2).bfloat16()
    model.weight.data.fill_(1.0)
    model.weight.grad, model.bias.grad = torch.ones_like(model.weight), torch.ones_like(model.bias)
    moving = Movement()
    moving.follow(Gradients(model).look())
    model.weight.data.add_(1e-4)  # the next number after 1 is 1.0078
    model.bias.data.add_(1.0)
    moving.look()
    found = moving.check(steps=20, steps_with_rate=20)
    assert found.verdict == "unsure"
    assert "weight" in found.text


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_the_schedule_is_computed_as_transformers_does(schedule: str) -> None:
    from transformers import get_scheduler

    from pegbox_worker.arguments import SCHEDULES

    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    theirs = get_scheduler(SCHEDULES[schedule], optimizer, num_warmup_steps=3, num_training_steps=10)
    for position in range(10):
        assert theirs.get_last_lr()[0] == pytest.approx(0.5 * factor(schedule, position, warmup=3, steps=10))
        optimizer.step()
        theirs.step()


def test_a_peak_that_is_not_the_recipes_is_told() -> None:
    asked = recipe("lora", steps=10)
    assert asked.training.learning_rate
    rate = LearningRate(asked, warmup=0, steps=10)
    other = 3 * asked.training.learning_rate
    rate.look([{"lr": other, "initial_lr": other}], [other], 0)
    assert rate.check().verdict == "unsure"
    assert "in place of the recipe's" in rate.check().text


@pytest.mark.parametrize(
    ("tokens", "labelled", "verdict"),
    [(1000, 300, "passed"), (1000, 0, "failed"), (1000, 50, "unsure"), (1000, 950, "unsure"), (0, 0, "not-applicable")],
)
def test_the_share_of_learned_tokens_is_held_against_the_rows_own(tokens: int, labelled: int, verdict: str) -> None:
    facts = RowFacts(rows=10, tokens=5000, tokens_trained=1500)
    assert check_share(facts, tokens=tokens, labelled=labelled).verdict == verdict


@pytest.mark.parametrize(
    ("rate", "peak", "verdicts"),
    [(1500.0, 5, ("passed", "passed")), (500.0, 5, ("unsure", "passed")), (9000.0, 11, ("passed", "unsure"))],
)
def test_a_cards_speed_and_memory_are_held_against_the_forecast(
    rate: float, peak: int, verdicts: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gib = 2**30
    memory = Forecast(
        level="analytic",
        allocated_bytes=6 * gib,
        card_bytes=8 * gib,
        safe_bytes=9 * gib,
        low_bytes=5 * gib,
        high_bytes=10 * gib,
        items={},
        phases={},
        peak_phase="layer",
        trainable_weights=1,
    )
    time = TimeForecast(
        tokens_per_second=1500,
        tokens_per_second_low=1000,
        tokens_per_second_high=2000,
        seconds=1,
        seconds_low=1,
        seconds_high=1,
        bound="compute",
        level="estimated",
        flops_per_token=1,
        source="",
    )

    class Known:
        def __init__(self, _recipe: object, device: str) -> None:
            assert device == "cuda:0"

        def forecast(
            self, _recipe: object, *, row_tokens: float, padding_share: float
        ) -> tuple[Forecast, TimeForecast]:
            assert row_tokens == pytest.approx(50 / (1 - 0.2))
            assert padding_share == 0.2
            return memory, time

    monkeypatch.setattr(rungs, "Ground", Known)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _device: peak * gib)
    facts = RowFacts(rows=10, tokens=500, tokens_trained=100)
    expected = Expectation(recipe("lora"), facts, torch.device("cuda:0"), None)
    found = expected.checks(tokens_per_second=rate, padding_share=0.2)
    assert tuple(check.verdict for check in found) == verdicts


def test_the_seed_is_looked_at_where_all_draw_from(tmp_path: Path) -> None:
    from pegbox_worker.sentinel.seed import check_seed

    arguments = TrainingArguments(output_dir=str(tmp_path), seed=3, data_seed=4, report_to=[])
    torch.manual_seed(3)
    assert "that of the order of rows is 4" in check_seed(3, arguments).text
