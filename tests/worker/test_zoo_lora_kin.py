"""LoRA's kin: what each of them begins with, trains and saves that LoRA doesn't."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import torch
from peft import PeftModel
from peft.optimizers.lorafa import LoraFAOptimizer
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, GPT2Config

from pegbox_hardware.model_config import shape_of
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_methods.torch_half import Attached, load_torch_half
from pegbox_methods.zoo.eva.half_torch import chosen, widened
from pegbox_methods.zoo.loftq.half_torch import Originals, rounded
from pegbox_methods.zoo.lora_fa.half_torch import fill_gradients, move_state
from pegbox_methods.zoo.lora_plus.half_torch import TRAINERS_NAMES
from pegbox_methods.zoo.pissa.half_torch import FirstAdapter
from pegbox_runs.models import BUNDLED, FoundModel, read_config
from pegbox_worker.arguments import OPTIMIZERS
from pegbox_worker.base_model import admit_bitsandbytes, load_model, load_packed_model
from pegbox_worker.checkpoint import trained_weights
from tests.methods_at_work import (
    CPU,
    FOUND,
    IDS,
    attach,
    base,
    logits,
    one_thread,
    packed_base,
    plain_base,
    recipe,
    trainer_for,
)

KIN = ("lora-plus", "lora-fa", "pissa", "olora", "eva", "loftq", "qdora")
CHANGES_BASE = pytest.mark.parametrize("name", ["pissa", "olora"])
Q = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


def layers(model: nn.Module) -> list[Any]:
    return [part for part in model.modules() if isinstance(part, LoraLayer)]


def with_training(name: str, **training: Any) -> Recipe:
    asked = recipe(name, steps=4)
    return msgspec.structs.replace(asked, training=msgspec.structs.replace(asked.training, **training))


@pytest.mark.parametrize("name", KIN)
def test_a_card_counts_exactly_what_is_trained(name: str) -> None:
    shape, why = shape_of(read_config(BUNDLED / "model" / "config.json"))
    assert shape is not None, why
    for settings in ({}, {"rank": 5, "targets": ["down_proj", "o_proj"]}, {"rank": 1, "targets": ["*_proj"]}):
        trained = sum(w.numel() for w in trained_weights(attach(name, **settings).model).values())
        counted = find_card(name).footprint(shape, recipe(name, **settings).method.settings)
        assert counted.trainable_weights == trained, settings


# LoRA+


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_lora_plus_takes_the_trainers_own_optimizer_and_changes_the_rate_of_b(optimizer: str, tmp_path: Path) -> None:
    admit_bitsandbytes()
    assert TRAINERS_NAMES.get(optimizer, optimizer) == OPTIMIZERS[optimizer]
    asked = {"optimizer": optimizer, "weight_decay": 0.25, "learning_rate": 1e-3}
    plain = trainer_for("lora", tmp_path, steps=2)
    plain.args.optim, plain.args.weight_decay = OPTIMIZERS[optimizer], 0.25
    expected = plain.create_optimizer()
    found = cast(Any, load_torch_half(find_card("lora-plus")).attach(base("lora"), with_training("lora-plus", **asked)))
    assert type(found.optimizer) is type(expected)
    assert {k: v for k, v in found.optimizer.defaults.items() if k != "lr"} == {
        k: v for k, v in expected.defaults.items() if k != "lr"
    }
    rates = {
        id(weight): (group["lr"], group["weight_decay"])
        for group in found.optimizer.param_groups
        for weight in group["params"]
    }
    trained = trained_weights(found.model)
    assert rates.keys() == {id(weight) for weight in trained.values()}
    for part, weight in trained.items():
        assert rates[id(weight)] == (pytest.approx(1.6e-2 if "lora_B" in part else 1e-3), 0.25), part


def test_lora_plus_with_a_ratio_of_one_takes_loras_very_steps(tmp_path: Path) -> None:
    ended = []
    for name, settings in (("lora", {}), ("lora-plus", {"ratio": 1.0})):
        trainer = trainer_for(name, tmp_path / name, steps=3, **settings)
        trainer.train()
        ended.append(trained_weights(trainer.model))
    for part, weight in ended[0].items():
        assert torch.equal(weight, ended[1][part]), part


# LoRA-FA


def test_lora_fa_never_moves_a_and_resumes_to_the_same_weights(tmp_path: Path) -> None:
    whole = trainer_for("lora-fa", tmp_path / "whole", steps=4)
    drawn = [part.lora_A["default"].weight.clone() for part in layers(whole.model)]
    whole.train()
    for part, before in zip(layers(whole.model), drawn, strict=True):
        assert torch.equal(part.lora_A["default"].weight, before)
        assert part.lora_B["default"].weight.any()
    resumed = trainer_for("lora-fa", tmp_path / "resumed", steps=4)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    ended = trained_weights(whole.model)
    assert ended
    assert all("lora_B" in name for name in ended)
    for name, weight in trained_weights(resumed.model).items():
        assert torch.equal(weight, ended[name]), name


def test_what_lora_fas_optimizer_remembers_goes_to_the_weights_device() -> None:
    weight = nn.Parameter(torch.zeros(2, 2, device="meta"))
    optimizer = LoraFAOptimizer([{"params": [weight], "names": ["q.lora_B.default.weight"], "scaling_factors": [1.0]}])
    optimizer.state["q.lora"] = {"step": 3, "exp_avg_B": torch.zeros(2, 2)}
    move_state(optimizer)
    assert optimizer.state["q.lora"]["exp_avg_B"].device.type == "meta"
    assert optimizer.state["q.lora"]["step"] == 3


def test_lora_fa_steps_over_a_map_that_no_token_went_through() -> None:
    attached = attach("lora-fa")
    optimizer, model = cast(Any, attached.optimizer), attached.model
    model(input_ids=IDS, labels=IDS).loss.backward()
    unused = layers(model)[3].lora_B["default"].weight
    unused.grad = None
    optimizer.step()  # with the half's hook; without it PEFT's step raises
    assert not unused.any()
    assert layers(model)[0].lora_B["default"].weight.any()
    fill_gradients(optimizer)
    assert not any(weight.grad is not None for part in layers(model) for weight in part.lora_A.parameters())


# PiSSA, OLoRA


def moved(attached: Attached) -> Tensor:
    """Change all that trains, as a run would; give the logits after that."""
    torch.manual_seed(1)
    for weight in trained_weights(attached.model).values():
        weight.data += 0.02 * torch.randn_like(weight)
    return logits(attached.model)


@CHANGES_BASE
def test_it_begins_at_the_bases_output_with_a_part_of_its_weights(name: str) -> None:
    plain = plain_base()
    tuned = attach(name, rank=4).model
    torch.testing.assert_close(logits(tuned), logits(plain), rtol=1e-4, atol=1e-4)
    q = tuned.get_submodule(Q)
    own = plain.model.layers[0].self_attn.q_proj.weight
    left = q.get_base_layer().weight
    assert not torch.allclose(left, own, atol=1e-3)
    torch.testing.assert_close(left + q.get_delta_weight("default"), own, rtol=1e-4, atol=1e-5)


def test_pissa_takes_the_largest_directions_and_sampling_finds_nearly_all_of_them() -> None:
    own = plain_base().model.layers[0].self_attn.q_proj.weight
    largest = torch.linalg.svdvals(own)[:4]
    for decomposition, least in (("exact", 0.9999), ("fast", 0.95)):
        taken = attach("pissa", rank=4, decomposition=decomposition).model.get_submodule(Q).get_delta_weight("default")
        assert least < torch.linalg.svdvals(taken)[:4].square().sum() / largest.square().sum() < 1.0001


@CHANGES_BASE
def test_what_is_saved_is_plain_lora_of_twice_the_rank_for_the_untouched_base(name: str, tmp_path: Path) -> None:
    attached = attach(name, rank=4, alpha=8.0)
    tuned = moved(attached)
    load_torch_half(find_card(name)).save(attached, tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["init_lora_weights"]) == (8, 16.0, True)
    assert {path.name for path in tmp_path.iterdir()} == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    torch.testing.assert_close(logits(PeftModel.from_pretrained(plain_base(), tmp_path)), tuned, rtol=1e-4, atol=1e-4)
    # The run goes on after that: the model is the same, and trains the same.
    assert torch.equal(logits(attached.model), tuned)
    assert list(cast(Any, attached.model).peft_config) == ["default"]
    assert all(name.count("default") == 1 for name in trained_weights(attached.model))


def test_a_run_that_resumes_where_weights_decompose_otherwise_takes_out_what_it_took_out_before() -> None:
    first = attach("pissa", rank=4)
    kept = {name: weight.clone() for name, weight in cast(FirstAdapter, first.state).state_dict().items()}
    tuned = moved(first)
    torch.manual_seed(5)
    other = load_torch_half(find_card("pissa")).attach(plain_base(), recipe("pissa", rank=4))
    for name, weight in trained_weights(other.model).items():
        weight.data.copy_(trained_weights(first.model)[name])
    before = logits(other.model)
    cast(FirstAdapter, other.state).load_state_dict(kept)
    assert (before - tuned).abs().max() > 1e-3  # samples differ, and so does what is left of the base
    torch.testing.assert_close(logits(other.model), tuned, rtol=1e-4, atol=1e-4)
    untouched = {name: weight.clone() for name, weight in first.model.named_parameters()}
    cast(FirstAdapter, first.state).load_state_dict(kept)
    assert all(torch.equal(weight, untouched[name]) for name, weight in first.model.named_parameters())


@CHANGES_BASE
def test_its_resumed_run_ends_with_the_same_weights(name: str, tmp_path: Path) -> None:
    whole = trainer_for(name, tmp_path / "whole", steps=4)
    whole.train()
    resumed = trainer_for(name, tmp_path / "resumed", steps=4)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    ended = trained_weights(whole.model)
    assert all(torch.equal(weight, ended[part]) for part, weight in trained_weights(resumed.model).items())
    assert torch.equal(logits(resumed.model), logits(whole.model))


@CHANGES_BASE
def test_a_base_in_bfloat16_begins_within_its_own_rounding(name: str) -> None:
    torch.manual_seed(0)
    half, asked = load_torch_half(find_card(name)), recipe(name, rank=4)
    own = logits(load_model(FOUND, torch.bfloat16, CPU)).float()
    tuned = half.attach(load_model(FOUND, torch.bfloat16, CPU), asked).model
    assert {weight.dtype for weight in trained_weights(tuned).values()} == {torch.float32}
    exact = (logits(plain_base()) - own).abs().max()
    assert (logits(tuned).float() - own).abs().max() < 2 * exact


@CHANGES_BASE
def test_packed_weights_are_not_taken_apart(name: str) -> None:
    with pytest.raises(Refusal, match=r'packed ones would be rounded anew. Set model.quantization = "none"'):
        load_torch_half(find_card(name)).attach(packed_base(), recipe(name))


@pytest.mark.parametrize("name", ["pissa", "olora", "eva", "loftq"])
def test_a_rank_that_a_map_does_not_have_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match=r"rank = 200: model.layers.0.self_attn.q_proj has 192 directions .* take 192"):
        attach(name, rank=200)


# EVA


def batches(*, rows: int = 3, labelled: int = 10) -> list[dict[str, Tensor]]:
    """Micro-batches of two rows each, the second padded; only the first few positions have a label."""
    made = []
    for number in range(rows):
        ids = torch.stack([IDS[0] + 7 * number, IDS[0] + 5 * number + 100])
        mask = torch.ones_like(ids)
        mask[1, 30:] = 0
        labels = ids.clone()
        labels[:, labelled:] = -100
        made.append({"input_ids": ids, "attention_mask": mask, "labels": labels})
    return made


def test_eva_begins_with_the_directions_of_the_labelled_inputs_and_without_them_as_lora() -> None:
    attached = attach("eva", rank=4)
    plain = logits(plain_base())
    q = attached.model.get_submodule(Q)
    drawn = q.lora_A["default"].weight.clone()
    assert cast(Any, drawn).std() > 0
    seen: list[Tensor] = []
    hook = q.register_forward_hook(lambda _part, inputs, _output: seen.append(inputs[0].detach()))
    attached.look(batches())  # type: ignore[misc]
    hook.remove()
    # The first pass only tells PEFT which maps are given the same.
    inputs = torch.cat([found[:, :10].flatten(0, 1) for found in seen[1:]])
    directions = torch.linalg.svd(inputs - inputs.mean(0), full_matrices=False).Vh[:4]
    found = q.lora_A["default"].weight
    torch.testing.assert_close(found @ found.T, torch.eye(4), rtol=1e-3, atol=1e-3)
    assert torch.linalg.svdvals(found @ directions.T).min() > 0.9  # the same space, as far as batch by batch finds it
    assert torch.equal(logits(attached.model), plain)
    assert {part.r["default"] for part in layers(attached.model)} == {4}
    assert not list(attached.tell(1))  # type: ignore[misc]


def test_eva_comes_to_an_end_where_the_rows_have_fewer_directions_than_the_rank(capsys: Any) -> None:
    for rows in (1, 20):
        attached = attach("eva", rank=16, batches=8)
        same = batches(rows=1, labelled=16)[0]
        attached.look([same] * rows)  # type: ignore[misc]
        assert all(part.lora_A["default"].weight.isfinite().all() for part in layers(attached.model))
    assert capsys.readouterr().out == ""


def test_a_map_that_hardly_a_token_goes_through_keeps_what_was_drawn() -> None:
    attached = attach("eva", rank=8, batches=4)
    lonely, other = (attached.model.get_submodule(Q.replace("layers.0", f"layers.{layer}")) for layer in (1, 2))
    drawn = [part.lora_A["default"].weight.clone() for part in (lonely, other)]
    lonely.register_forward_pre_hook(lambda _part, inputs: (inputs[0][:1, :2].flatten(0, 1),))
    lonely.register_forward_hook(lambda _part, _inputs, output: output[None, :1].expand(2, 40, -1))
    attached.look(batches(rows=4))  # type: ignore[misc]
    assert torch.equal(lonely.lora_A["default"].weight, drawn[0])
    assert not torch.equal(other.lora_A["default"].weight, drawn[1])


@pytest.mark.parametrize("flat", [False, True])
def test_inputs_are_chosen_by_their_labels_whether_rows_are_flattened_or_not(flat: bool) -> None:
    inputs, mask = torch.arange(24.0).reshape(2, 3, 4), torch.tensor([True, False, False, False, True, False])
    assert chosen((inputs.flatten(0, 1) if flat else inputs,), mask, "")[:, 0].tolist() == [0.0, 16.0]
    assert len(chosen((inputs[:1],), mask, "")) == 3


def test_eva_takes_no_more_micro_batches_than_it_was_told_to() -> None:
    taken = []

    def rows() -> Iterator[dict[str, Tensor]]:
        for batch in batches(rows=9):
            taken.append(batch)
            yield batch

    attach("eva", rank=2, batches=5).look(rows())  # type: ignore[misc]
    assert len(taken) == 5


def test_micro_batches_with_few_labels_are_put_together() -> None:
    narrow = {name: part[:, :25] for name, part in batches(labelled=2)[0].items()}
    together = list(widened([narrow, *batches(rows=6, labelled=2)], 8))
    assert [len(batch["input_ids"]) for batch in together] == [4, 4, 6]  # what is left over joins the last
    first = together[0]
    assert first["input_ids"].shape == (4, 40)
    assert not first["attention_mask"][:2, 25:].any()
    assert (first["labels"][:2, 25:] == -100).all()


def test_eva_with_fewer_labels_than_its_rank_is_lora_and_says_so() -> None:
    attached = attach("eva", rank=32, batches=1)
    drawn = attached.model.get_submodule(Q).lora_A["default"].weight.clone()
    attached.look(batches(labelled=3))  # type: ignore[misc]
    assert torch.equal(attached.model.get_submodule(Q).lora_A["default"].weight, drawn)
    (notice,) = attached.tell(1)  # type: ignore[misc]
    assert cast(Any, notice).text.startswith("EVA found fewer than 32 tokens with a label in the first 1 micro-batches")
    assert not list(attached.tell(2))  # type: ignore[misc]


def test_eva_trains_without_having_looked(tmp_path: Path) -> None:
    trainer = trainer_for("eva", tmp_path, steps=2)
    trainer.train()
    assert all(part.lora_B["default"].weight.any() for part in layers(trainer.model))


# LoftQ


def away(found: Tensor, own: Tensor) -> float:
    return float((found - own).norm())


def test_loftq_begins_nearer_to_the_full_precision_model_than_qlora() -> None:
    own = logits(plain_base())
    packed = away(logits(attach("qlora").model), own)
    by_rank = [away(logits(attach("loftq", rank=rank).model), own) for rank in (16, 64, 192)]
    assert packed > by_rank[0] > by_rank[1] > by_rank[2]
    assert by_rank[1] < 0.75 * packed
    assert by_rank[2] < 0.01 * packed  # with all directions nothing is left of the error
    scaled = away(logits(attach("loftq", rank=64, alpha=256.0).model), own)
    assert scaled == pytest.approx(by_rank[1], rel=0.05)  # what is added is the error, whatever alpha


def test_loftqs_adapter_gives_the_same_on_the_packed_base_and_on_a_rounded_one(tmp_path: Path) -> None:
    attached = attach("loftq", rank=8)
    tuned = moved(attached)
    half = load_torch_half(find_card("loftq"))
    half.save(attached, tmp_path)
    assert torch.equal(logits(half.load(packed_base(), tmp_path)), tuned)
    loaded = half.load(plain_base(), tmp_path)
    torch.testing.assert_close(logits(loaded), tuned, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits(half.merge(loaded)), tuned, rtol=1e-4, atol=1e-4)
    with pytest.raises(Refusal, match="Load the base model in full precision"):
        half.merge(half.load(packed_base(), tmp_path))


def test_weights_are_rounded_as_packing_rounds_them() -> None:
    from bitsandbytes.functional import dequantize_4bit

    packed = packed_base().model.layers[1].mlp.up_proj.weight
    own = plain_base().model.layers[1].mlp.up_proj.weight
    assert torch.equal(rounded(own), dequantize_4bit(packed.data, packed.quant_state))


def test_original_weights_are_found_in_one_file_and_in_several(tmp_path: Path) -> None:
    weights = load_file(BUNDLED / "model" / "model.safetensors")
    name = "model.layers.3.mlp.down_proj"
    assert torch.equal(Originals(str(BUNDLED / "model"), None).weight(name), weights[f"{name}.weight"])
    save_file({f"{name}.weight": weights[f"{name}.weight"]}, tmp_path / "part-2.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {f"{name}.weight": "part-2.safetensors"}})
    )
    sharded = Originals(str(tmp_path), None)
    assert torch.equal(sharded.weight(name), weights[f"{name}.weight"])
    with pytest.raises(
        Refusal, match=r'holds no weights by the name of model.layers.9.q.weight.*Take the method "qlora"'
    ):
        sharded.weight("model.layers.9.q")


def test_original_weights_of_a_hub_model_are_those_of_the_recipes_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def found(name: str, **how: Any) -> str:
        asked.append((name, how))
        return str(BUNDLED / "model")

    monkeypatch.setattr("pegbox_methods.zoo.loftq.half_torch.snapshot_download", found)
    Originals("someone/model", "v2").weight("model.layers.0.mlp.up_proj")
    assert asked == [("someone/model", {"revision": "v2", "local_files_only": True})]
    monkeypatch.undo()
    for gone in ("someone/not-here", "/not/here"):
        with pytest.raises(Refusal, match=r"aren't on this machine any more.*Fetch the model again"):
            Originals(gone, None)


def test_rounding_without_bitsandbytes_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.setitem(sys.modules, "bitsandbytes.functional", None)
    with pytest.raises(Refusal, match="an adapter of LoftQ fits a base model only as that rounds it"):
        rounded(torch.zeros(64, 64))


# GPT-2, whose maps keep their weights transposed


@pytest.fixture
def gpt2(tmp_path: Path) -> FoundModel:
    config = GPT2Config(vocab_size=512, n_positions=64, n_embd=128, n_layer=1, n_head=2)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    return FoundModel("gpt2", tmp_path, config.to_dict(), None, False, False)


@pytest.mark.parametrize("name", [name for name in KIN if not find_card(name).needs.linear_layers_only])
def test_it_begins_trains_saves_and_merges_on_transposed_maps(name: str, gpt2: FoundModel, tmp_path: Path) -> None:
    def fresh(*, packed: bool) -> Any:
        load = load_packed_model if packed else load_model
        return load(gpt2, torch.float32, *([torch.float32] if packed else []), CPU)

    admit_bitsandbytes()
    card, half = find_card(name), load_torch_half(find_card(name))
    packed = card.needs.quantized_base
    attached = half.attach(fresh(packed=packed), recipe(name, rank=64))
    own = logits(fresh(packed=packed))
    if name == "loftq":
        exact = logits(fresh(packed=False))
        assert away(logits(attached.model), exact) < 0.8 * away(own, exact)
    else:
        torch.testing.assert_close(logits(attached.model), own, rtol=1e-4, atol=1e-5)
    tuned = moved(attached)
    (tmp_path / "adapter").mkdir()
    half.save(attached, tmp_path / "adapter")
    torch.testing.assert_close(
        logits(half.load(fresh(packed=packed), tmp_path / "adapter")), tuned, rtol=1e-4, atol=1e-5
    )
    loaded = half.load(fresh(packed=False), tmp_path / "adapter")
    whole = logits(loaded)
    torch.testing.assert_close(logits(half.merge(loaded)), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["lora", "dora", "adalora"])
def test_a_whole_alpha_is_saved_as_the_whole_number_that_importers_of_other_tools_read(
    name: str, tmp_path: Path
) -> None:
    attached = attach(name)
    load_torch_half(find_card(name)).save(attached, tmp_path)
    said = json.loads((tmp_path / "adapter_config.json").read_text())
    assert type(said["lora_alpha"]) is int
