"""The worker's smaller decisions: precision, plan, failures, targets, footprint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pegbox_hardware.model_config import shape_of
from pegbox_methods.recipe import Evaluation, Method, Model, Recipe, Rows, Training
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_methods.torch_half import load_torch_half
from pegbox_runs.models import BUNDLED, read_config
from pegbox_runs.plan import plan
from pegbox_worker import precision
from pegbox_worker.failure import explain
from pegbox_worker.memory import memory
from pegbox_worker.precision import decide

CPU = torch.device("cpu")
CUDA = torch.device("cuda", 0)


def recipe(**parts: Any) -> Recipe:
    return Recipe(model=Model(name="bundled"), rows=Rows(file="/rows.jsonl"), **parts)


@pytest.mark.parametrize(
    ("flags", "wanted", "name"),
    [
        (("avx2", "avx512_bf16"), "auto", "bfloat16"),
        (("amx_bf16",), "auto", "bfloat16"),
        (("avx2",), "auto", "float32"),
        (("avx2",), "bfloat16", "bfloat16"),
        (("avx512_bf16",), "float32", "float32"),
    ],
)
def test_a_cpu_computes_in_what_it_can(
    monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], wanted: Any, name: str
) -> None:
    monkeypatch.setattr(precision, "processor", lambda: ("a CPU", flags))
    chosen = decide(wanted, CPU)
    assert chosen.name == name
    assert chosen.weights is torch.float32


def test_half_precision_on_a_cpu_is_refused() -> None:
    with pytest.raises(Refusal, match=r"a CPU can't train in it; take 'bfloat16' or 'float32'"):
        decide("float16", CPU)


@pytest.mark.parametrize(
    ("capability", "wanted", "name"),
    [((8, 0), "auto", "bfloat16"), ((9, 0), "float32", "float32"), ((7, 5), "auto", "float16")],
)
def test_a_gpu_computes_by_its_capability(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], wanted: Any, name: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    chosen = decide(wanted, CUDA)
    assert (chosen.name, chosen.weights) == (name, getattr(torch, name))


def test_bfloat16_on_an_old_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (7, 0))
    with pytest.raises(Refusal, match=r"compute capability 7.0"):
        decide("bfloat16", CUDA)


@pytest.mark.parametrize(
    ("rows", "training", "steps"),
    [
        (100, {"micro_batch": 4, "accumulation": 5, "epochs": 1.0}, 5),
        (101, {"micro_batch": 4, "accumulation": 5, "epochs": 1.0}, 6),
        (101, {"micro_batch": 4, "accumulation": 5, "epochs": 2.5}, 15),
        (101, {"micro_batch": 4, "accumulation": 5, "epochs": 2.5, "max_steps": 7}, 7),
        (1, {"micro_batch": 8, "accumulation": 4, "epochs": 0.1}, 1),
    ],
)
def test_steps_are_counted_with_the_last_partial_batch(rows: int, training: dict[str, Any], steps: int) -> None:
    assert plan(recipe(training=Training(**training)), rows).steps == steps


def test_a_run_is_evaluated_four_times_unless_told_otherwise() -> None:
    assert plan(recipe(training=Training(max_steps=10)), 1000).every == 3
    assert plan(recipe(evaluation=Evaluation(every=7)), 1000).every == 7


def test_a_warm_up_of_one_step_would_waste_it() -> None:
    assert plan(recipe(training=Training(max_steps=10, warmup=0.05)), 1000).warmup == 0
    assert plan(recipe(training=Training(max_steps=40, warmup=0.05)), 1000).warmup == 2


@pytest.mark.parametrize(
    ("error", "what", "remedy"),
    [
        (Refusal("x is wrong."), "x is wrong.", "Change the recipe"),
        (torch.OutOfMemoryError("CUDA out of memory"), "the device ran out of memory", "training.micro_batch"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "the machine ran out of memory", "micro_batch"),
        (OSError(28, "No space left on device"), "No space left on device", "Free some disk space"),
        (ZeroDivisionError("odd"), "ZeroDivisionError: odd", "worker.log"),
    ],
)
def test_every_failure_says_what_and_what_to_do(error: BaseException, what: str, remedy: str) -> None:
    told = explain(error, "training at step 3")
    assert what in told.what
    assert remedy in told.remedy
    assert told.where == "training at step 3"


def test_memory_on_a_cpu_has_no_device_figures() -> None:
    now = memory(CPU)
    assert now.device_now is None
    assert now.process_now is not None
    assert now.process_peak is not None
    assert 10**8 < now.process_now <= now.process_peak * 1.1


@pytest.mark.parametrize("targets", ["all-linear", "attention", ["q_proj", "down_proj"]])
@pytest.mark.parametrize("rank", [1, 16])
def test_loras_footprint_is_what_peft_trains(model: Any, targets: Any, rank: int) -> None:
    card = find_card("lora")
    settings = {"rank": rank, "alpha": 32.0, "dropout": 0.0, "targets": targets}
    shape, _ = shape_of(read_config(BUNDLED / "model" / "config.json"))
    assert shape is not None
    attached = load_torch_half(card).attach(model, recipe(method=Method(settings=settings)))
    trained = sum(weight.numel() for weight in attached.model.parameters() if weight.requires_grad)
    assert trained == card.footprint(shape, settings).trainable_weights


def test_targets_the_model_lacks_are_refused_with_those_it_has(model: Any) -> None:
    settings = {"rank": 4, "alpha": 8.0, "dropout": 0.0, "targets": ["q_proj", "query"]}
    with pytest.raises(Refusal, match=r"the model has no query; its linear maps are q_proj, k_proj"):
        load_torch_half(find_card("lora")).attach(model, recipe(method=Method(settings=settings)))


def test_a_saved_adapter_loads_and_merges_to_the_same_logits(model: Any, tmp_path: Path) -> None:
    half = load_torch_half(find_card("lora"))
    settings = {"rank": 4, "alpha": 8.0, "dropout": 0.0, "targets": "all-linear"}
    attached = half.attach(model, recipe(method=Method(settings=settings)))
    for name, weight in attached.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.02)
    ids = torch.arange(20, 60)[None]
    before = attached.model.eval()(input_ids=ids).logits
    half.save(attached, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    from pegbox_runs.models import find_model
    from pegbox_worker.base_model import load_model

    fresh = load_model(find_model(Model(name="bundled")), torch.float32, CPU).eval()
    loaded = half.load(fresh, tmp_path).eval()
    torch.testing.assert_close(loaded(input_ids=ids).logits, before)
    torch.testing.assert_close(half.merge(loaded)(input_ids=ids).logits, before, rtol=1e-4, atol=1e-4)
