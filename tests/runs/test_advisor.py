"""The advisor: each rule speaks where it must, holds its tongue where it must, and never fails."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegbox_methods.events import (
    AcrossRanks,
    AnyEvent,
    Evaluation,
    Finished,
    Load,
    Memory,
    Prepared,
    Ranks,
    Resumed,
    Step,
)
from pegbox_runs.advisor import LEVELS, RULES, Hint, hints
from pegbox_runs.printable import printable
from pegbox_runs.run_state import RunState, fold
from tests.stories import evaluation, prepared, started, step
from tests.together import joined, member

GIB = 2**30
CURVE = [2.0 * 0.9 ** (n / 20) + 0.5 + 0.05 * (n % 3) for n in range(400)]
"""A loss that falls as it should."""
DONE = Finished(reason="completed", steps=400, kept_step=400, adapter="adapter", seconds=1.0)


def ready(**changes: Any) -> Prepared:
    whole: dict[str, Any] = {
        "steps": 400,
        "rows_trained": 3200,
        "rows_evaluated": 320,
        "every": 50,
        "warmup": 20,
        "micro_batch": 4,
        "accumulation": 4,
        "max_gradient_norm": 1.0,
        "vocabulary": 32_000,
        "order": "grouped",
        "precision": "bfloat16",
    }
    return msgspec.structs.replace(prepared(), **{**whole, **changes})


def steps(losses: Sequence[float], norms: Sequence[float | None] | float = 0.5, **changes: Any) -> list[Step]:
    norms = [norms] * len(losses) if isinstance(norms, float) else norms
    return [
        msgspec.structs.replace(step(number), loss=loss, gradient_norm=norm, **changes)
        for number, (loss, norm) in enumerate(zip(losses, norms, strict=True), start=1)
    ]


def load(**changes: Any) -> Load:
    whole: dict[str, Any] = {
        "step": 1,
        "device_use": 0.98,
        "temperature_c": 70.0,
        "temperature_limit_c": 93.0,
        "power_w": 300.0,
        "power_limit_w": 450.0,
        "memory_used": 18 * GIB,
        "memory_total": 24 * GIB,
    }
    return Load(**{**whole, **changes})


def told(
    losses: Sequence[float] = CURVE,
    looks: Mapping[int, float] | None = None,
    norms: Sequence[float | None] | float = 0.5,
    *,
    loads: Sequence[Load] = (),
    more: Sequence[AnyEvent] = (),
    method: str = "lora",
    model: str = "some/model",
    changed: Mapping[str, Any] | None = None,
    **about: Any,
) -> RunState:
    """Fold a made-up run. `looks`: evaluation losses by step; `changed`: of each step; `about`: of `prepared`."""
    looks = {0: 2.4, 50: 2.0, 100: 1.8, 150: 1.6, 200: 1.5} if looks is None else looks
    story: list[AnyEvent] = [started(method=method, model=model), ready(**about)]
    by_step: dict[int, list[AnyEvent]] = {at: [evaluation(at, loss)] for at, loss in looks.items()}
    story += by_step.get(0, [])
    for one in steps(losses, norms, **(changed or {})):
        story += [one, *by_step.get(one.step, [])]
    return fold([*story, *loads, *more])


def across(waited: float, worst: float = 1.7) -> dict[str, AcrossRanks]:
    """Change a step of 2 s with 3.5 tokens a second: two processes take it."""
    both = AcrossRanks(
        tokens_per_second_worst=worst,
        tokens_per_second_mean=1.75,
        device_peak_mean=None,
        process_peak_mean=None,
        waited_seconds=waited,
    )
    return {"across": both}


ON_A10_AND_L4 = joined(member(0), member(1), member(2, device="cuda:2 (NVIDIA L4)"))


def names(state: RunState) -> set[str]:
    return {hint.name for hint in hints(state)}


def named(state: RunState, name: str) -> Hint:
    return next(hint for hint in hints(state) if hint.name == name)


HALF = CURVE[:200]


def test_a_run_that_goes_as_it_should_gives_no_hint() -> None:
    for taken in (0, 1, 2, 10, 30, 60, 120, 200, 300, 390):
        assert hints(told(CURVE[:taken], loads=[load()] * 10)) == ()
    assert hints(RunState()) == ()


RISING = {0: 2.4, 50: 1.9, 100: 2.0, 150: 2.1, 200: 2.2}
WITHIN = [1.0] * 199 + [3.5]
BEGINNING = [0.9 + 3.2 * math.exp(-n / 12) + (0.2 if n % 7 == 3 else 0.0) for n in range(120)]
"""As chat rows begin: 4 nats at the first step, a quarter of that after some dozens."""
COOL = {"temperature_c": 80.0}

SPEAKING: list[tuple[str, RunState]] = [
    ("overfitting", told(HALF, RISING)),
    ("overfitting", told(HALF, {0: 2.4, 150: 1.5, 200: 1.6})),
    ("plateau", told(HALF, {0: 2.4, 50: 1.600, 100: 1.599, 150: 1.601, 200: 1.598})),
    ("no-gain", told(HALF, {0: 1.2, 50: 1.4, 100: 1.3})),
    ("no-gain", told(CURVE[:60], {0: 1.2, 50: 1.2})),
    ("underfitting", told(CURVE, {0: 2.4, 100: 2.0, 200: 1.8, 300: 1.6, 400: 1.5})),
    ("not-evaluated", told(CURVE[:3], {}, rows_evaluated=0)),
    ("few-evaluations", told(HALF, {0: 2.4, 200: 1.5}, every=200)),
    ("diverging", told([*CURVE[:100], *(1.0 + 0.1 * n for n in range(30))])),
    ("spike", told(WITHIN)),
    ("spike", told([*BEGINNING[:50], 4.0, *BEGINNING[50:]])),
    ("wrong-beginning", told(CURVE[:3], {0: 9.8})),
    ("wrong-beginning", told([9.9] * 5, {})),
    ("wrong-beginning", told([9.9] * 60, {0: 9.9, 50: 9.2})),
    ("wrong-beginning", told(CURVE[:3], {0: 7.9}, vocabulary=3072, model="bundled")),
    ("rate-too-high", told([2.0] * 20 + [2.6] * 20, {0: 2.4})),
    ("rate-too-low", told([2.0 + 0.02 * (n % 2) for n in range(120)], {0: 2.4, 50: 2.39, 100: 2.39})),
    ("exploding-gradient", told(HALF, norms=[0.5] * 180 + [30.0] * 20)),
    ("vanishing-gradient", told(HALF, norms=[0.5] * 180 + [1e-5] * 20)),
    ("clipped", told(HALF, norms=4.0)),
    ("skipped-steps", told(HALF, norms=[None if n % 4 == 0 else 0.5 for n in range(200)])),
    ("ranks-not-moved", told(HALF, method="adalora")),
    ("ranks-not-moved", told(HALF, method="adalora", more=[Ranks(step=9, ranks={"q": 12}, before=12)])),
    ("waiting-for-rows", told(HALF, changed={"rows_seconds": 0.5, "optimizer_seconds": 0.1})),
    ("waiting-for-process", told(HALF, changed=across(waited=0.6))),
    ("mixed-devices", told(HALF, more=[ON_A10_AND_L4])),
    ("padding", told(HALF, changed={"padding": 7})),
    ("hot", told(HALF, loads=[load(temperature_c=91.0)])),
    ("memory-nearly-full", told(HALF, loads=[load(memory_used=int(23.9 * GIB))])),
    ("memory-to-spare", told(HALF, loads=[load(memory_used=6 * GIB)])),
    ("at-power-limit", told(HALF, loads=[load(power_w=448.0)] * 6)),
    ("idle-device", told(HALF, loads=[load(device_use=0.3)] * 6)),
]


@pytest.mark.parametrize(("name", "state"), SPEAKING, ids=[name for name, _ in SPEAKING])
def test_it_speaks_where_something_stands_out(name: str, state: RunState) -> None:
    hint = named(state, name)
    assert any(letter.isdigit() for letter in hint.text)
    assert hint.source
    assert hint.text.endswith(".")
    assert printable(hint.text) == hint.text


def test_it_says_when_the_run_has_become_slower() -> None:
    taken = [
        msgspec.structs.replace(one, tokens_per_second=3000.0 if one.step > 250 else 5000.0)
        for one in steps([1.0 / (n + 1) + 1 for n in range(460)])
    ]
    slower = fold([started(), ready(steps=1000), *taken, load()])
    assert "70 degrees" in named(slower, "slower").text
    assert "slower" not in names(fold([started(), ready(steps=1000), *taken[:400], load()]))
    steady = [msgspec.structs.replace(one, tokens_per_second=4500.0 + 400 * (one.step % 3)) for one in taken]
    assert "slower" not in names(fold([started(), ready(steps=1000), *steady, load()]))


SILENT: list[tuple[str, RunState]] = [
    ("overfitting", told([2.0 + n / 100 for n in range(200)], RISING)),  # the training loss rises too
    ("overfitting", told(HALF, {0: 2.4, 50: 1.9, 100: 1.92, 150: 1.91, 200: 1.93})),
    ("overfitting", told(HALF, {0: 1.0, 50: 1.9})),
    ("overfitting", told(HALF, RISING, more=[Resumed(step=50, folder="f")])),
    ("plateau", told(HALF, {0: 2.4, 50: 1.6, 100: 1.55, 150: 1.5, 200: 1.45})),
    ("plateau", told(HALF, {0: 2.4, 100: 1.6, 150: 1.6, 200: 1.6})),
    ("plateau", told(HALF, RISING)),
    ("plateau", told(CURVE, {0: 2.4, 100: 1.6, 200: 1.6, 300: 1.6, 400: 1.6}, more=[DONE])),
    ("no-gain", told(HALF, {0: 2.4, 50: 2.5, 100: 2.3})),
    ("no-gain", told(HALF, {50: 2.5})),
    ("underfitting", told(HALF)),
    ("underfitting", told(CURVE, {0: 2.4, 100: 2.0, 200: 1.8, 300: 1.6, 400: 1.59})),
    ("underfitting", told(CURVE, {0: 2.4, 100: 1.0, 200: 1.1, 300: 1.4, 400: 1.3})),
    ("few-evaluations", told(HALF, {0: 2.4, 100: 2.0}, every=100)),
    ("few-evaluations", told(CURVE[:50], {0: 2.4}, every=200)),
    ("few-evaluations", told(HALF, {}, every=400, rows_evaluated=0)),
    ("diverging", told([*CURVE[:100], 4.0, *CURVE[101:140]])),
    ("diverging", told([0.001 + 0.01 * (n % 2) for n in range(100)])),
    ("spike", told([1.0 + (n % 2) for n in range(200)])),
    ("spike", told([0.001] * 100 + [0.1])),
    ("spike", told(BEGINNING[:32])),
    ("spike", told(BEGINNING[:60])),
    ("spike", told(BEGINNING, warmup=5)),
    ("wrong-beginning", told(CURVE[:3], {0: 3.5})),
    ("wrong-beginning", told([9.9] * 50, {0: 9.9, 50: 8.0})),
    ("wrong-beginning", told([9.9] * 5 + [7.0] * 10, {0: 9.9})),
    ("wrong-beginning", told([7.2] * 5, {0: 7.2}, vocabulary=3072, model="bundled")),
    ("wrong-beginning", told([4.9] * 5, {}, vocabulary=300)),
    ("wrong-beginning", told([9.9] * 5, {}, vocabulary=None)),
    ("rate-too-high", told([2.0] * 20 + [2.6] * 380, {0: 2.4})),  # long after the warm-up it has another name
    ("rate-too-high", told(CURVE[:40])),
    ("rate-too-low", told([2.0] * 60, {0: 2.4})),
    ("rate-too-low", told([2.0] * 120, {0: 2.4, 100: 2.0})),
    ("exploding-gradient", told(HALF, norms=[0.001] * 180 + [0.05] * 20)),
    ("exploding-gradient", told(HALF, norms=[0.5] * 199 + [300.0])),
    ("exploding-gradient", told(CURVE[:30], norms=[0.5] * 20 + [300.0] * 10)),
    ("vanishing-gradient", told([0.001] * 200, norms=[0.5] * 180 + [1e-5] * 20)),
    ("vanishing-gradient", told(HALF, norms=0.0)),
    ("clipped", told(HALF, norms=[4.0 if n % 2 else 0.5 for n in range(200)])),
    ("clipped", told(HALF, norms=4.0, max_gradient_norm=None)),
    ("clipped", told(CURVE[:10], norms=4.0)),
    ("skipped-steps", told(HALF, norms=[None if n in (3, 60, 150) else 0.5 for n in range(200)])),
    ("skipped-steps", told(CURVE[:4], norms=[None, None, 0.5, 0.5])),
    ("ranks-not-moved", told(CURVE[:100], method="adalora")),
    ("ranks-not-moved", told(HALF, method="adalora", more=[Ranks(step=9, ranks={"q": 8}, before=12)])),
    ("waiting-for-rows", told(HALF, changed={"rows_seconds": 0.01, "optimizer_seconds": 0.1})),
    ("waiting-for-rows", told(HALF)),
    ("waiting-for-process", told(HALF, changed=across(waited=0.1))),
    ("waiting-for-process", told(HALF[:5], changed=across(waited=0.6))),
    ("waiting-for-process", told(HALF, changed={**across(waited=0.6), "step_seconds": 0.0})),
    ("waiting-for-process", told(CURVE, changed=across(waited=0.6), more=[DONE])),
    ("mixed-devices", told(HALF, more=[joined()])),
    ("mixed-devices", told(HALF, more=[joined(member(0, device="cpu"), member(1, "node-b", device="cpu"))])),
    ("padding", told(HALF, changed={"padding": 2})),
    ("padding", told(HALF, changed={"padding": 7}, order="packed")),
    ("hot", told(HALF, loads=[load(temperature_c=91.0, temperature_limit_c=None)])),
    ("hot", told(CURVE, loads=[load(temperature_c=92.0)], more=[DONE])),
    ("memory-nearly-full", told(HALF, loads=[load(memory_total=None)])),
    ("memory-to-spare", told(HALF, loads=[load(memory_used=6 * GIB)], accumulation=1)),
    ("memory-to-spare", told(HALF, loads=[load(memory_used=6 * GIB)], processes=4)),  # they can't part 2 among them
    ("memory-to-spare", told(CURVE[:5], loads=[load(memory_used=6 * GIB)])),
    ("memory-to-spare", told(HALF, changed={"memory": Memory(device_peak=14 * GIB)}, loads=[load(memory_used=GIB)])),
    ("at-power-limit", told(HALF, loads=[load(power_w=448.0)] * 2)),
    ("at-power-limit", told(HALF, loads=[load(power_w=None)] * 9)),
    ("idle-device", told(HALF, loads=[load(device_use=0.3)] * 2 + [load()] * 6)),
    ("idle-device", told(HALF, loads=[load(device_use=None)] * 9)),
]


@pytest.mark.parametrize(("name", "state"), SILENT, ids=[f"{name}-{n}" for n, (name, _) in enumerate(SILENT)])
def test_it_holds_its_tongue_where_nothing_can_be_said(name: str, state: RunState) -> None:
    assert name not in names(state)


def test_each_rule_is_tested_to_speak_and_most_to_be_silent() -> None:
    spoken = {name for name, _ in SPEAKING} | {"slower"}
    assert len(spoken) == len(RULES)
    assert spoken - {name for name, _ in SILENT} <= {"slower", "not-evaluated"}


def test_it_names_the_checkpoint_and_the_figures() -> None:
    hint = named(told(HALF, RISING), "overfitting")
    assert hint.level == "act"
    assert "has risen for 3 evaluations (1.900 to 2.200) while the training loss falls" in hint.text
    assert "best checkpoint is step 50" in hint.text
    assert "training.micro_batch 8 with training.accumulation 2" in named(SPEAKING[-3][1], "memory-to-spare").text


def test_of_processes_that_wait_the_likely_cause_is_told() -> None:
    as_many = named(told(HALF, changed=across(waited=0.6)), "waiting-for-process").text
    assert as_many.startswith("30 % of a step the processes wait for the slowest of them. They have about as many")
    fewer = named(told(HALF, changed=across(waited=0.6, worst=0.7)), "waiting-for-process").text
    assert "One has 40 % of the mean's tokens" in fewer
    assert "training.order" in fewer
    assert "2 on NVIDIA A10, 1 on NVIDIA L4" in named(told(HALF, more=[ON_A10_AND_L4]), "mixed-devices").text


def test_an_overfitted_run_that_is_over_is_not_told_to_stop() -> None:
    going, over = (named(told(HALF, RISING, more=more), "overfitting") for more in ((), (DONE,)))
    assert "stopping now" in going.text
    assert "stopping now" not in over.text
    assert (going.level, over.level) == ("act", "look")
    assert "step 50" in over.text


def test_heat_speaks_of_the_card_s_own_maker() -> None:
    said = {
        maker: named(told(HALF, loads=[load(temperature_c=91.0, maker=maker)]), "hot")
        for maker in ("nvidia", "amd", None)
    }
    assert "nvidia-smi" in said["nvidia"].text
    assert "NVML" in said["nvidia"].source
    for maker in ("amd", None):
        assert "nvidia" not in said[maker].text
    assert "NVML" not in said["amd"].source
    assert "amdgpu" in said["amd"].source


def test_the_most_pressing_comes_first() -> None:
    state = told(HALF, RISING, norms=4.0, loads=[load(power_w=449.0, memory_used=6 * GIB)] * 9)
    levels = [LEVELS.index(hint.level) for hint in hints(state)]
    assert levels == sorted(levels)
    assert set(levels) == {0, 1, 2}


FIGURE = st.floats(0, 1e12) | st.sampled_from([0.0, 1e-300, 1e300, 0.5])
NUMBER = st.integers(0, 60)
EVENTS: list[Callable[[st.DrawFn], AnyEvent]] = [
    lambda draw: msgspec.structs.replace(
        step(draw(NUMBER)),
        loss=draw(FIGURE),
        gradient_norm=draw(st.none() | FIGURE),
        tokens=draw(NUMBER),
        padding=draw(NUMBER),
        tokens_per_second=draw(FIGURE),
        step_seconds=draw(FIGURE),
        rows_seconds=draw(st.none() | FIGURE),
        memory=Memory(device_peak=draw(st.none() | st.integers(0, 2**40))),
        **draw(st.just({}) | st.builds(across, FIGURE, FIGURE)),
    ),
    lambda draw: joined(*(member(rank, device=draw(st.text())) for rank in range(draw(st.integers(1, 3))))),
    lambda draw: evaluation(draw(NUMBER), draw(FIGURE)),
    lambda draw: ready(
        steps=draw(NUMBER),
        every=draw(st.none() | NUMBER),
        warmup=draw(st.none() | NUMBER),
        vocabulary=draw(st.none() | st.integers(0, 10**6)),
        max_gradient_norm=draw(st.none() | FIGURE),
        micro_batch=draw(st.none() | NUMBER),
        accumulation=draw(st.none() | NUMBER),
        rows_evaluated=draw(NUMBER),
        processes=draw(NUMBER),
    ),
    lambda draw: load(
        device_use=draw(st.none() | FIGURE),
        temperature_c=draw(st.none() | FIGURE),
        temperature_limit_c=draw(st.none() | FIGURE),
        power_w=draw(st.none() | FIGURE),
        power_limit_w=draw(st.none() | FIGURE),
        memory_used=draw(st.none() | NUMBER),
        memory_total=draw(st.none() | NUMBER),
    ),
    lambda draw: Resumed(step=draw(NUMBER), folder="f"),
    lambda draw: Ranks(step=draw(NUMBER), ranks={"q": draw(NUMBER)}, before=draw(NUMBER)),
    lambda draw: started(method=draw(st.sampled_from(["lora", "adalora"]))),
]


@st.composite
def an_event(draw: st.DrawFn) -> AnyEvent:
    return draw(st.sampled_from(EVENTS))(draw)


@settings(max_examples=150)
@given(st.lists(an_event(), max_size=25), st.integers(0, 6))
def test_it_never_fails_whatever_a_log_holds(events: list[AnyEvent], times: int) -> None:
    state = fold(events * (times + 1))
    for hint in hints(state):
        assert hint.text
        assert hint.level in LEVELS
    assert state.time_left is None or math.isfinite(state.time_left.likely) or state.training_seconds > 1e300


def test_an_evaluation_that_ended_a_stopped_run_counts_as_any_other() -> None:
    extra = Evaluation(
        step=200, loss=2.4, perplexity=1.0, tokens=4, seconds=1.0, best=False, memory=Memory(), extra=True
    )
    assert "overfitting" in names(told(HALF, {0: 2.4, 100: 1.9}, more=[extra]))
