"""The methods that act on linear maps in other ways than LoRA: counts, refusals, and the traps that are closed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from peft.tuners.boft import layer as boft_layer
from peft.tuners.lokr.layer import factorization
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from pegbox_hardware.model_config import shape_of
from pegbox_methods.recipe import Seeds
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_methods.torch_half import Attached, load_torch_half
from pegbox_methods.zoo.boft.half_torch import BlockDiagonal
from pegbox_methods.zoo.lokr.kronecker import split
from pegbox_runs.models import BUNDLED, read_config
from pegbox_worker.adapter_care import keep_float32
from pegbox_worker.base_model import admit_bitsandbytes, load_packed_model
from tests.methods_at_work import CPU, FOUND, attach, logits, one_thread, plain_base, recipe

COUNTED: list[tuple[str, dict[str, Any]]] = [
    ("vera", {}),
    ("vera", {"rank": 3, "targets": ["k_proj", "up_proj"]}),
    ("loha", {"rank": 1, "targets": "attention"}),
    ("loha", {"rank": 7, "rank_dropout": 0.5}),
    ("lokr", {}),
    ("lokr", {"rank": 2, "decompose_factor": -1}),
    ("lokr", {"rank": 2, "decompose_factor": 20, "decompose_both": True}),
    ("lokr", {"rank": 300, "decompose_factor": 1, "targets": ["down_proj"]}),
    ("oft", {}),
    ("oft", {"block_size": 2, "targets": "attention"}),
    ("oft", {"block_size": 512, "targets": ["down_proj"]}),
    ("boft", {}),
    ("boft", {"block_size": 3, "n_butterfly_factor": 1, "targets": ["q_proj"]}),
    ("boft", {"block_size": 2, "n_butterfly_factor": 5, "targets": ["*_proj"]}),
    ("ia3", {}),
    ("ia3", {"targets": "all-linear"}),
    ("ia3", {"targets": ["o_proj", "down*"]}),
    ("miss", {}),
    ("miss", {"rank": 50, "targets": ["o_proj", "down_proj"]}),  # divides neither 192 nor 512 inputs
    ("shira", {}),
    ("shira", {"rank": 96, "targets": ["q_proj"]}),  # all weights of the map
]

SMALL = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "vocab_size": 64}
MIXED = {**SMALL, "moe_intermediate_size": 16, "num_key_value_heads": 4, "num_experts_per_tok": 2}
LATENT = {"kv_lora_rank": 32, "qk_rope_head_dim": 16, "qk_nope_head_dim": 16, "v_head_dim": 16, "n_routed_experts": 4}
FAMILIES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 64, "bos_token_id": 0, "eos_token_id": 0},
    "gpt_neox": {**SMALL, "intermediate_size": 48},
    "phi": {**SMALL, "intermediate_size": 48},
    "phi3": {**SMALL, "intermediate_size": 48, "num_key_value_heads": 2, "pad_token_id": 0, "eos_token_id": 0},
    "qwen3_moe": {**MIXED, "num_experts": 4, "head_dim": 8},
    "deepseek_v2": {**MIXED, **LATENT, "q_lora_rank": 32, "n_shared_experts": 1, "first_k_dense_replace": 1},
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


def trained(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def moved(attached: Attached) -> Attached:
    """The same method, some steps on."""
    torch.manual_seed(1)
    for weight in trained(attached.model).values():
        weight.data += 0.05 * torch.randn_like(weight)
    return attached


def of_family(kind: str) -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **FAMILIES[kind]))


def counts(name: str, model: nn.Module, config: dict[str, Any], **settings: Any) -> tuple[int, int]:
    """Weights as the card counts them, and as they are."""
    asked = recipe(name, **settings)
    shape, why = shape_of(config)
    assert shape is not None, why
    attached = load_torch_half(find_card(name)).attach(model, asked)
    told = find_card(name).footprint(shape, asked.method.settings).trainable_weights
    return told, sum(weight.numel() for weight in trained(attached.model).values())


@pytest.mark.parametrize(("name", "settings"), COUNTED)
def test_a_card_counts_exactly_what_is_trained(name: str, settings: dict[str, Any]) -> None:
    told, found = counts(name, plain_base(), read_config(BUNDLED / "model" / "config.json"), **settings)
    assert told == found


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("targets", ["key-value-down", "all-linear"])
def test_ia3_finds_keys_values_and_inner_activations_in_every_family(kind: str, targets: str) -> None:
    model = of_family(kind)
    told, found = counts("ia3", model, model.config.to_dict(), targets=targets)
    assert told == found > 0


def test_vera_takes_gpt2s_transposed_maps() -> None:
    model = of_family("gpt2")
    told, found = counts("vera", model, model.config.to_dict(), rank=8)
    assert told == found


def test_ia3_scales_the_inputs_of_the_mlps_last_map_and_the_outputs_of_others() -> None:
    factors = trained(attach("ia3", targets=["v_proj", "layers.0.mlp.*"]).model)
    shapes = {name.partition(".layers.0.")[2].rpartition(".ia3_l")[0]: tuple(w.shape) for name, w in factors.items()}
    del shapes[""]  # values of the other layers
    assert shapes == {
        "self_attn.v_proj": (192, 1),
        "mlp.gate_proj": (512, 1),
        "mlp.up_proj": (512, 1),
        "mlp.down_proj": (1, 512),
    }


def test_lokr_splits_sizes_as_peft_does() -> None:
    for size in (1, 2, 7, 12, 127, 192, 512, 576, 1536, 4864, 11008):
        for factor in (-1, 0, 1, 2, 4, 5, 6, 8, 20, 64, 500, 5000):
            assert split(size, factor) == factorization(size, factor), (size, factor)


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("oft", {"block_size": 10}, r"the 192 inputs of \S+q_proj don't divide .* take 2, 4, 8, 16, 32, 64, or leave"),
        ("boft", {"block_size": 5}, r"such blocks, 2 of them to a group; take 2, 4, 6, 8, 12"),
        ("boft", {"block_size": 2, "n_butterfly_factor": 8}, r"128 of them to a group; leave that map out"),
        ("miss", {"rank": 193}, r"\S+q_proj has 192 inputs; take 192 at most"),
        ("shira", {"rank": 97}, r"fewer weights than 97 x \(192 \+ 192\); take 96 at most"),
    ],
)
def test_a_size_that_a_map_has_no_room_for_is_refused(name: str, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refusal, match=sentence):
        attach(name, **settings)


def test_ia3_without_keys_or_values_names_the_maps_there_are() -> None:
    model = plain_base()
    for layer in model.model.layers:
        layer.self_attn.wk = layer.self_attn.k_proj
        layer.self_attn.wv = layer.self_attn.v_proj
        del layer.self_attn.k_proj, layer.self_attn.v_proj
    with pytest.raises(
        Refusal, match=r'"key-value-down": none .* Take "all-linear", or name some .* q_proj, o_proj, wk'
    ):
        load_torch_half(find_card("ia3")).attach(model, recipe("ia3"))


def test_oft_leaves_a_map_with_four_dimensional_inputs_alone() -> None:
    half = load_torch_half(find_card("oft"))
    with pytest.raises(Refusal, match=r"inputs of kv_b_proj .* for images; .* instead: q_a_proj"):
        half.attach(of_family("deepseek_v2"), recipe("oft", block_size=8))
    tuned = half.attach(of_family("deepseek_v2"), recipe("oft", block_size=8, targets=["o_proj", "down_proj"])).model
    assert tuned(torch.arange(8)[None]).logits.isfinite().all()


def test_blocks_on_a_diagonal_are_torchs_and_so_is_their_gradient() -> None:
    blocks = torch.randn(2, 3, 4, 4, requires_grad=True)
    (squares,) = BlockDiagonal().forward(blocks.detach())
    plain = torch.stack([torch.block_diag(*factor) for factor in blocks])
    torch.testing.assert_close(squares, plain)
    gradient = torch.randn_like(plain)
    plain.backward(gradient)
    torch.testing.assert_close(BlockDiagonal().backward(gradient, blocks.detach())[0], blocks.grad)


def test_boft_mixes_blocks_without_a_compiler_and_keeps_one_permutation_for_each_width(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(boft_layer, "_FBD_CUDA", None)
    monkeypatch.setattr("torch.utils.cpp_extension.load", lambda **_: pytest.fail("a kernel was compiled"))
    model = moved(attach("boft", block_size=4, n_butterfly_factor=3, targets=["q_proj", "down_proj"])).model
    maps = [part for part in model.modules() if isinstance(part, boft_layer.BOFTLayer)]
    for part in maps:
        rotation, _ = part.get_delta_weight("default")
        torch.testing.assert_close(rotation @ rotation.T, torch.eye(len(rotation)), rtol=0, atol=1e-4)
        assert bool((rotation[:16, :16] != 0).all())  # four blocks of 4, each with each
        assert not rotation[:16, 16:].any()
    assert len({part.boft_P.data_ptr() for part in maps}) == 2


@pytest.mark.parametrize("factors", [1, 3])
def test_a_saved_butterfly_loads_where_peft_has_no_kernel(
    factors: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attached = moved(attach("boft", block_size=4, n_butterfly_factor=factors, dropout=0.5))
    tuned = logits(attached.model)
    half = load_torch_half(find_card("boft"))
    half.save(attached, tmp_path)
    config = attached.model.peft_config["default"]
    assert (config.boft_block_size, config.boft_n_butterfly_factor) == (4, factors)  # lent, and taken back
    torch.testing.assert_close(logits(half.load(plain_base(), tmp_path)), tuned, rtol=1e-4, atol=1e-4)
    monkeypatch.setattr(boft_layer, "_FBD_CUDA", False)  # what PEFT finds without a CUDA compiler
    plain = PeftModel.from_pretrained(plain_base(), str(tmp_path))
    torch.testing.assert_close(logits(plain), tuned, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "seed"), [("vera", "projection_prng_key"), ("shira", "random_seed")])
def test_what_chance_chose_is_in_the_file_and_comes_from_the_recipes_seed(name: str, seed: str, tmp_path: Path) -> None:
    attached = moved(attach(name))
    half = load_torch_half(find_card(name))
    half.save(attached, tmp_path)
    path = tmp_path / "adapter_config.json"
    config = json.loads(path.read_text())
    assert config[seed] == Seeds().training
    path.write_text(json.dumps(config | {seed: 7}))  # as if another torch drew other numbers from it
    torch.testing.assert_close(logits(half.load(plain_base(), tmp_path)), logits(attached.model))


@pytest.mark.parametrize("rank", [2, 40])  # few of the weights, and many
def test_shira_draws_other_positions_for_each_map_and_the_same_for_each_seed(rank: int) -> None:
    def positions() -> list[torch.Tensor]:
        layers = attach("shira", rank=rank, targets=["q_proj"]).model.base_model.model.model.layers
        return [layer.self_attn.q_proj.shira_indices["default"].long() for layer in layers]

    first, *others = positions()
    assert first.unique(dim=1).shape == (2, rank * (192 + 192))
    assert 85 < first.float().mean() < 106  # half of 191: neither end is favoured
    assert not any(torch.equal(first, other) for other in others)
    assert all(torch.equal(one, again) for one, again in zip([first, *others], positions(), strict=True))


@pytest.mark.parametrize("name", ["vera", "ia3", "boft"])
def test_factors_stay_in_float32_on_a_packed_base_and_it_answers_outside_of_autocast(name: str, tmp_path: Path) -> None:
    def base() -> Any:
        admit_bitsandbytes()
        return load_packed_model(FOUND, torch.bfloat16, torch.bfloat16, CPU)  # as on a GPU

    half = load_torch_half(find_card(name))
    attached = half.attach(base(), recipe(name))
    for weight in trained(attached.model).values():
        weight.data = weight.data.bfloat16()  # as TRL does
    keep_float32(attached.model)
    assert {weight.dtype for weight in trained(attached.model).values()} == {torch.float32}
    tuned = logits(moved(attached).model)
    half.save(attached, tmp_path)
    # BOFT's factors are rounded one by one here, and multiplied in the file.
    torch.testing.assert_close(logits(half.load(base(), tmp_path)), tuned, rtol=0, atol=0.25 if name == "boft" else 0)


@pytest.mark.parametrize("name", ["loha", "lokr"])
def test_rows_that_are_dropped_make_up_for_it_in_those_that_stay(name: str) -> None:
    part = moved(attach(name, rank_dropout=0.5)).model.base_model.model.model.layers[0].self_attn.q_proj
    whole = part.get_delta_weight("default")
    torch.manual_seed(0)
    drawn = part.get_delta_weight("default", apply_rank_dropout=True)
    kept = drawn.any(dim=1)
    assert 0.3 < kept.float().mean() < 0.7
    torch.testing.assert_close(drawn[kept], whole[kept] / kept.float().mean())
