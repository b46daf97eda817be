"""RandLoRA, GraLoRA, HRA, DeLoRA, FourierFT and VB-LoRA: what is special to them, and the traps that are closed."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from peft.tuners.delora.layer import DeloraLayer
from peft.tuners.hra.layer import HRALinear
from safetensors import safe_open
from torch import nn

from pegbox_hardware.model_config import shape_of
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_methods.torch_half import Attached, load_torch_half
from pegbox_methods.zoo.hra.half_torch import CompactMirrors
from pegbox_runs.models import BUNDLED, read_config
from tests.methods_at_work import IDS, attach, logits, one_thread, plain_base, recipe

WIDTH, INNER = 192, 512
"""Of the bundled model."""
ODD_SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("randlora", {}),
    ("randlora", {"rank": 7, "targets": "attention"}),
    ("randlora", {"rank": 500, "bases": "very-sparse", "targets": ["q_proj", "down_proj"]}),
    ("gralora", {}),
    ("gralora", {"rank": 8, "subblocks": 4, "targets": "attention"}),
    ("gralora", {"rank": 3, "subblocks": 1, "hybrid_rank": 5, "targets": ["down_proj"]}),
    ("hra", {}),
    ("hra", {"rank": 2, "targets": "attention"}),
    ("hra", {"rank": 6, "targets": ["q_proj", "down_proj"]}),
    ("delora", {}),
    ("delora", {"rank": 1, "targets": "attention"}),
    ("delora", {"rank": 5, "boundary": 3.0, "targets": ["down_proj"]}),
    ("fourierft", {}),
    ("fourierft", {"frequencies": 1, "targets": "attention"}),
    ("fourierft", {"frequencies": WIDTH * WIDTH, "targets": ["k_proj", "gate_proj"]}),
    ("vblora", {}),
    ("vblora", {"rank": 1, "num_vectors": 7, "targets": "attention"}),
    ("vblora", {"rank": 3, "topk": 3, "vector_length": 16, "targets": ["down_proj"]}),
]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


def adapted_layers(model: nn.Module, kind: type) -> list[Any]:
    return [part for part in model.modules() if isinstance(part, kind)]


def shaken(attached: Attached) -> torch.Tensor:
    """Move every trained weight, and give the logits; each weight has to be in the file for them to come back."""
    torch.manual_seed(1)
    for weight in attached.model.parameters():
        if weight.requires_grad:
            weight.data += 0.1 * torch.randn_like(weight)
    return logits(attached.model)


def backward(model: nn.Module) -> list[torch.Tensor]:
    """Give the gradients of the trained weights, in order."""
    model.zero_grad()
    model.train()(input_ids=IDS, labels=IDS).loss.backward()
    return [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]


@pytest.mark.parametrize(("name", "settings"), ODD_SETTINGS)
def test_a_card_counts_exactly_what_is_trained_under_odd_settings(name: str, settings: dict[str, Any]) -> None:
    shape, why = shape_of(read_config(BUNDLED / "model" / "config.json"))
    assert shape is not None, why
    trained = sum(weight.numel() for weight in attach(name, **settings).model.parameters() if weight.requires_grad)
    assert find_card(name).footprint(shape, recipe(name, **settings).method.settings).trainable_weights == trained


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("gralora", {"rank": 8, "subblocks": 3}, r"a rank of 8 doesn't divide by it. Take a multiple of 3 as"),
        (
            "gralora",
            {"rank": 10, "subblocks": 5},
            r"layers.0.self_attn.q_proj has 192 inputs and 192 outputs, and both",
        ),
        ("hra", {"rank": 7}, r"their number must be even. Take 6 or 8"),
        (
            "fourierft",
            {"frequencies": 40_000},
            r"self_attn.q_proj has 36864 weights, and takes no more waves than that",
        ),
        ("vblora", {"vector_length": 256}, r"q_proj has 192 inputs and 192 outputs, .* Take 64, which divides all"),
        ("vblora", {"num_vectors": 4, "topk": 5}, r"the bank has 4 vectors, so no more can be mixed"),
    ],
)
def test_settings_that_contradict_each_other_or_the_model_are_refused(
    name: str, settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(Refusal, match=says):
        attach(name, **settings)


@pytest.mark.parametrize("bases", ["dense", "sparse"])
def test_randloras_bases_are_in_its_adapter_once_and_in_no_checkpoint(bases: str, tmp_path: Path) -> None:
    attached = attach("randlora", bases=bases)
    assert not [name for name in attached.model.state_dict() if "randlora_A" in name or "randlora_B" in name]
    expected = shaken(attached)
    half = load_torch_half(find_card("randlora"))
    half.save(attached, tmp_path)
    with safe_open(tmp_path / "adapter_model.safetensors", "pt") as file:
        stored = {name: file.get_tensor(name) for name in file.keys() if name.endswith(("_A", "_B"))}  # noqa: SIM118
    assert {name: tuple(basis.shape) for name, basis in stored.items()} == {
        "base_model.randlora_A": (32, 1, INNER),
        "base_model.randlora_B": (INNER, INNER // 32, 32),
    }
    assert {basis.dtype for basis in stored.values()} == {torch.bfloat16 if bases == "dense" else torch.float32}
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["save_projection"]
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | {"projection_prng_key": 7}))
    with warnings.catch_warnings(record=True) as told:
        loaded = half.load(plain_base(), tmp_path)
    assert not [warning for warning in told if "missing" in str(warning.message)]
    torch.testing.assert_close(logits(loaded), expected)
    with pytest.warns(UserWarning, match="Found missing adapter keys"):
        theirs = PeftModel.from_pretrained(plain_base(), tmp_path)
    torch.testing.assert_close(logits(theirs), expected)


def test_hras_compact_form_is_pefts_function_without_its_squares(tmp_path: Path) -> None:
    attached = attach("hra", rank=6)
    expected = shaken(attached)
    gradients = backward(attached.model)
    load_torch_half(find_card("hra")).save(attached, tmp_path)
    theirs = PeftModel.from_pretrained(plain_base(), tmp_path, is_trainable=True)
    assert {type(part) for part in adapted_layers(theirs, HRALinear)} == {HRALinear}
    torch.testing.assert_close(logits(theirs), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gradients, backward(theirs), rtol=1e-3, atol=1e-5)
    assert held_for_backward(attached.model) < held_for_backward(theirs) / 10


def held_for_backward(model: nn.Module) -> int:
    """Count the bytes, beside the model's own, that a forward pass over few tokens leaves for the backward pass."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    held: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(input_ids=IDS, labels=IDS)
    return sum(tensor.untyped_storage().nbytes() for place, tensor in held.items() if place not in own)


def test_hra_begins_at_the_base_model_and_still_merges_with_pefts_own_code(tmp_path: Path) -> None:
    attached = attach("hra")
    assert {type(part) for part in adapted_layers(attached.model, HRALinear)} == {CompactMirrors}
    torch.testing.assert_close(logits(attached.model), logits(plain_base()), rtol=1e-4, atol=1e-4)
    expected = shaken(attached)
    half = load_torch_half(find_card("hra"))
    half.save(attached, tmp_path)
    loaded = half.load(plain_base(), tmp_path)
    assert {type(part) for part in adapted_layers(loaded, HRALinear)} == {CompactMirrors}
    torch.testing.assert_close(logits(half.merge(loaded)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rank", [1, 32])
def test_deloras_first_step_moves_each_matrix_by_a_hundredth_of_its_length(rank: int) -> None:
    model = attach("delora", rank=rank, targets="attention").model
    backward(model)
    torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], lr=1e-3).step()
    for part in adapted_layers(model, DeloraLayer):
        moved = part.get_delta_weight("default").detach().norm()
        assert 0.005 < float(moved / part.get_base_layer().weight.norm()) < 0.02


def test_deloras_boundary_can_be_given(tmp_path: Path) -> None:
    attached = attach("delora", boundary=15.0)
    assert {float(part.delora_lambda["default"]) for part in adapted_layers(attached.model, DeloraLayer)} == {15.0}
    expected = shaken(attached)
    half = load_torch_half(find_card("delora"))
    half.save(attached, tmp_path)
    torch.testing.assert_close(logits(half.load(plain_base(), tmp_path)), expected)


def test_fourierfts_waves_begin_flat_and_are_placed_by_the_recipes_seed() -> None:
    attached = attach("fourierft", targets="attention")
    torch.testing.assert_close(logits(attached.model), logits(plain_base()))
    config = attached.model.peft_config["default"]  # type: ignore[operator, index]
    assert config.random_loc_seed == recipe("fourierft").seeds.training
    assert config.scaling == pytest.approx(300 * WIDTH / 4096)
    given = attach("fourierft", scaling=7.5).model.peft_config["default"]  # type: ignore[operator, index]
    assert given.scaling == 7.5


@pytest.mark.parametrize(("targets", "length"), [("all-linear", 64), (["down_proj"], 64), (["k_proj"], 64)])
def test_vbloras_vectors_divide_every_map_by_themselves(targets: Any, length: int) -> None:
    banks = {
        name: weight
        for name, weight in attach("vblora", targets=targets).model.named_parameters()
        if "vector_bank" in name
    }
    assert [tuple(bank.shape) for bank in banks.values()] == [(256, length)]
