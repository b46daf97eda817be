"""Each built-in method, driven by the worker's own job: what it trains, what it saves, what comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pegbox_hardware.model_config import read_shape
from pegbox_methods.events import Evaluation, Failed, Prepared
from pegbox_methods.recipe import Method, Model, Recipe, Rows, Training
from pegbox_methods.recipe import Evaluation as Looks
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_methods.setting import resolve_settings
from pegbox_methods.torch_half import Attached, load_torch_half
from pegbox_runs.event_log import EventWriter
from pegbox_runs.models import BUNDLED, find_model
from pegbox_runs.preflight import check
from pegbox_runs.run_folder import RunFolder, create
from pegbox_worker import job
from pegbox_worker.base_model import admit_bitsandbytes, load_model, load_packed_model
from pegbox_worker.stop_flag import StopFlag
from tests.commands import events_of

CPU = torch.device("cpu")
METHODS = ("lora", "rslora", "dora", "qlora", "adalora")
FOUND = find_model(Model(name="bundled"))
IDS = torch.arange(20, 60)[None]


def recipe(name: str, *, steps: int = 100, **settings: Any) -> Recipe:
    """A recipe as a half gets it: every setting filled in, the steps counted."""
    filled, faults = resolve_settings(find_card(name).settings, settings, file="test")
    assert not faults
    return Recipe(
        model=Model(name="bundled"),
        rows=Rows(file=str(BUNDLED / "rows.jsonl")),
        method=Method(name=name, settings=filled),
        training=Training(max_steps=steps),
    )


def base(name: str, compute: torch.dtype = torch.float32) -> Any:
    """The bundled model, packed where the method's card says so."""
    if not find_card(name).needs.quantized_base:
        return load_model(FOUND, torch.float32, CPU)
    admit_bitsandbytes()
    return load_packed_model(FOUND, torch.float32, compute, CPU)


def attach(name: str, **settings: Any) -> Attached:
    torch.manual_seed(0)
    return load_torch_half(find_card(name)).attach(base(name), recipe(name, **settings))


@pytest.mark.parametrize("targets", ["all-linear", "attention", ["q_proj", "down_proj"]])
@pytest.mark.parametrize("name", METHODS)
def test_a_card_counts_exactly_what_is_trained(name: str, targets: Any) -> None:
    shape, why = read_shape(BUNDLED / "model" / "config.json")
    assert shape is not None, why
    for rank in (1, 6):
        attached = attach(name, rank=rank, targets=targets)
        trained = sum(weight.numel() for weight in attached.model.parameters() if weight.requires_grad)
        settings = recipe(name, rank=rank, targets=targets).method.settings
        assert find_card(name).footprint(shape, settings).trainable_weights == trained


@pytest.mark.parametrize("name", METHODS)
def test_a_target_the_model_lacks_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match=r"the model has no query; its linear maps are q_proj"):
        attach(name, targets=["q_proj", "query"])


FEW_STEPS: dict[str, dict[str, Any]] = {"adalora": {"interval": 2, "rank": 4}}


def run_job(home: Path, name: str, *, steps: int = 8, **training: Any) -> RunFolder:
    """Carry one run as the worker does, in this process."""
    asked = Recipe(
        model=Model(name="bundled"),
        rows=Rows(file=str(BUNDLED / "rows.jsonl"), limit=60),
        method=Method(name=name, settings=FEW_STEPS.get(name, {})),
        training=Training(
            **{"max_steps": steps, "length": 256, "precision": "float32", "learning_rate": 2e-3, **training}
        ),
        evaluation=Looks(every=4, sample_tokens=8),
    )
    checked = check(asked, file="recipe.toml")
    folder = create(checked.recipe, checked.environment())
    job.carry(folder, EventWriter(folder.events), StopFlag())
    return folder


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(input_ids=IDS).logits
    return found


@pytest.mark.parametrize("name", METHODS)
def test_a_run_lowers_the_loss_and_its_adapter_loads_and_merges(name: str, home: Path) -> None:
    folder = run_job(home, name)
    events = events_of(folder)
    assert not [event for event in events if isinstance(event, Failed)], events[-1]
    looks = [event.loss for event in events if isinstance(event, Evaluation)]
    assert min(looks[1:]) < looks[0] - 0.01
    (prepared,) = (event for event in events if isinstance(event, Prepared))
    plain = sum(weight.numel() for weight in load_model(FOUND, torch.float32, CPU).parameters())
    assert prepared.model_weights == plain + prepared.trainable_weights + (28 if name == "adalora" else 0)
    half = load_torch_half(find_card(name))
    loaded = half.load(load_model(FOUND, torch.float32, CPU), folder.adapter)  # QLoRA's too, in full precision
    tuned = logits(loaded)
    assert not torch.allclose(tuned, logits(load_model(FOUND, torch.float32, CPU)), atol=0.01)
    torch.testing.assert_close(logits(half.merge(loaded)), tuned, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_a_saved_adapter_loads_to_the_same_logits(name: str, tmp_path: Path) -> None:
    attached = attach(name, rank=4)
    torch.manual_seed(1)
    for part, weight in attached.model.named_parameters():
        if "lora_B" in part or "lora_E" in part or "magnitude" in part:
            weight.data += 0.05 * torch.randn_like(weight)
    half = load_torch_half(find_card(name))
    half.save(attached, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    torch.testing.assert_close(logits(half.load(base(name), tmp_path)), logits(attached.model))
