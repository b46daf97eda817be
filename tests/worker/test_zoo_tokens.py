"""Methods that train tokens, norms, or the whole model: what is special to each of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import peft
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM, set_seed

from pegbox_hardware.families import FAMILIES
from pegbox_hardware.model_config import shape_of
from pegbox_hardware.shape import ModelShape
from pegbox_methods.events import Evaluation, Failed, Step
from pegbox_methods.recipe import Evaluation as Looks
from pegbox_methods.recipe import Model, Recipe
from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_methods.torch_half import Attached, load_torch_half
from pegbox_methods.zoo.ln_tuning.half_torch import norm_names
from pegbox_methods.zoo.trainable_tokens.half_torch import SharedHead
from pegbox_runs.models import BUNDLED, read_config
from pegbox_runs.rows.loading import load_rows
from pegbox_runs.rows.masking import IGNORED
from pegbox_worker import labelled_loss
from pegbox_worker.base_model import load_model, load_tokenizer
from pegbox_worker.checkpoint import load_state, load_weights, save_method
from pegbox_worker.first_look import show_rows
from pegbox_worker.samples import Sampler
from pegbox_worker.token_rows import TokenRows
from pegbox_worker.tokens import tokenize
from tests.commands import events_of
from tests.methods_at_work import CPU, FOUND, IDS, attach, logits, one_thread, packed_base, plain_base, recipe, run_job

VIRTUAL = ("prompt-tuning", "p-tuning", "prefix-tuning")
BEFORE = torch.arange(100, 106)
SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 128,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


def bundled_shape() -> ModelShape:
    shape, why = shape_of(read_config(BUNDLED / "model" / "config.json"))
    assert shape is not None, why
    return shape


def small(kind: str, **fields: Any) -> Any:
    """Build a tiny model of a kind, with random weights. A field that is None is left out of its config."""
    torch.manual_seed(0)
    config = {name: value for name, value in {**SMALL, **fields}.items() if value is not None}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **config)).float()
    for weight in model.parameters():  # norms of ones and zeros would hide a mistake
        weight.data += 0.05 * torch.randn_like(weight)
    return model.eval()


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def shown(attached: Attached, ids: Tensor) -> Any:
    """Let a method begin from one row of tokens (positions)."""
    assert attached.look is not None
    attached.look([{"input_ids": ids[None], "attention_mask": torch.ones_like(ids)[None], "labels": ids[None]}])
    return attached.model


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ln-tuning", {}),
        ("trainable-tokens", {}),
        ("trainable-tokens", {"tokens": ["<|im_start|>", "<|im_end|>", "the"]}),
        ("prompt-tuning", {}),
        ("prompt-tuning", {"virtual_tokens": 3, "start": "vocabulary"}),
        ("p-tuning", {}),
        ("p-tuning", {"virtual_tokens": 3, "encoder_width": 5}),
        ("p-tuning", {"virtual_tokens": 3, "encoder_width": 5, "encoder": "lstm"}),
        ("prefix-tuning", {}),
        ("prefix-tuning", {"virtual_tokens": 3, "start": "vocabulary"}),
        ("full", {}),
    ],
)
def test_a_card_counts_exactly_what_is_trained(name: str, settings: dict[str, Any]) -> None:
    counted = find_card(name).footprint(bundled_shape(), recipe(name, **settings).method.settings).trainable_weights
    assert counted == sum(weight.numel() for weight in trained(attach(name, **settings).model).values())


@pytest.mark.parametrize("kind", FAMILIES)
def test_ln_tuning_finds_every_norm_of_every_family_and_counts_it(kind: str) -> None:
    config = AutoConfig.for_model(kind, **({"qk_layernorm": True} if kind == "stablelm" else {}))
    text = config.get_text_config()
    for name in ("num_hidden_layers", "n_layer"):
        if hasattr(text, name):
            setattr(text, name, 3)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(text)
    shape, why = shape_of(config.to_dict())
    assert shape is not None, why
    norms = sum(weight.numel() for name in norm_names(model) for weight in model.get_submodule(name).parameters())
    assert find_card("ln-tuning").footprint(shape, {}).trainable_weights == norms


def test_ln_tuning_wraps_norms_that_hold_one_for_each_head() -> None:
    model = small("stablelm", qk_layernorm=True)
    before = logits_of(model, IDS[:, :9])
    tuned = load_torch_half(find_card("ln-tuning")).attach(model, recipe("ln-tuning")).model
    torch.testing.assert_close(logits_of(tuned, IDS[:, :9]), before)
    assert any("norms.1.ln_tuning_layers" in name for name in trained(tuned))


def test_ln_tuning_computes_a_16_bit_models_norms_in_float32() -> None:
    model = load_model(FOUND, torch.bfloat16, CPU)
    before = logits(model)
    tuned = load_torch_half(find_card("ln-tuning")).attach(model, recipe("ln-tuning")).model
    assert {weight.dtype for weight in trained(tuned).values()} == {torch.float32}
    after = logits(tuned)
    assert after.dtype is torch.bfloat16
    torch.testing.assert_close(after, before, atol=0.3, rtol=0.1)
    step = 1e-3  # too small for bfloat16
    for weight in trained(tuned).values():
        weight.data += step
    assert not torch.equal(logits(tuned), after)


def test_ln_tuning_loads_a_16_bit_models_norms_as_they_were_trained(tmp_path: Path) -> None:
    half = load_torch_half(find_card("ln-tuning"))
    attached = half.attach(load_model(FOUND, torch.bfloat16, CPU), recipe("ln-tuning"))
    torch.manual_seed(0)
    for weight in trained(attached.model).values():
        weight.data += 0.1 * torch.randn_like(weight)
    half.save(attached, tmp_path)
    loaded = half.load(load_model(FOUND, torch.bfloat16, CPU), tmp_path)
    found = dict(loaded.named_parameters())
    for name, weight in trained(attached.model).items():
        torch.testing.assert_close(found[name], weight, rtol=0, atol=0, check_dtype=True)
    assert torch.equal(logits(loaded), logits(attached.model))


@pytest.mark.parametrize("name", [*VIRTUAL, "trainable-tokens"])
def test_losses_told_are_those_of_the_rows_one_by_one(name: str) -> None:
    rate = find_card(name).learning_rate
    folder = run_job(name, max_steps=2, every=2, micro_batch=40, length=64, learning_rate=rate)
    events = events_of(folder)
    assert not [event for event in events if isinstance(event, Failed)], events[-1]
    asked = read_recipe(folder.recipe)
    rows, held_out = token_rows(asked)
    half = load_torch_half(find_card(name))
    first = next(event.loss for event in events if isinstance(event, Step))
    assert first == pytest.approx(row_loss(started(name, asked, rows), rows), rel=1e-4)
    best = min(event.loss for event in events if isinstance(event, Evaluation))
    assert best == pytest.approx(row_loss(half.load(plain_base(), folder.adapter), held_out), rel=1e-4)


@pytest.mark.parametrize("name", VIRTUAL)
def test_a_method_that_stands_before_the_row_never_gets_the_loss_of_the_backbone_alone(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelled_loss, "_agrees", lambda *_: True)  # one row's loss may be the same by chance
    assert labelled_loss.labelled_loss_of(attach(name).model, IDS, IDS, torch.float32) is None
    assert labelled_loss.labelled_loss_of(attach("ln-tuning").model, IDS, IDS, torch.float32) is not None


def token_rows(asked: Recipe) -> tuple[TokenRows, TokenRows]:
    found = load_rows(asked)
    tokenizer = load_tokenizer(FOUND, asked.model)
    length = asked.training.length
    return tokenize(found.trained, tokenizer, length), tokenize(found.held_out, tokenizer, length)


def started(name: str, asked: Recipe, rows: TokenRows) -> nn.Module:
    """Attach as the worker does."""
    set_seed(asked.seeds.training)
    attached = load_torch_half(find_card(name)).attach(plain_base(), asked)
    show_rows(attached, rows, asked.training.micro_batch, 0, CPU)
    return attached.model


def logits_of(model: Any, ids: Tensor) -> Tensor:
    """Give the logits of the row's own positions, (1, positions, vocabulary)."""
    with torch.no_grad():
        found: Tensor = model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
    return found[:, -ids.shape[1] :]


def row_loss(model: nn.Module, rows: TokenRows) -> float:
    """Average over labelled tokens, each predicted from the token before it, row by row and without padding."""
    total, count = 0.0, 0
    for ids, labels in zip(rows.input_ids, rows.labels, strict=True):
        predicted = logits_of(model, torch.tensor([ids]))[0, :-1]
        total += float(cross_entropy(predicted, torch.tensor(labels[1:]), ignore_index=IGNORED, reduction="sum"))
        count += sum(label != IGNORED for label in labels[1:])
    return total / count


@pytest.mark.parametrize("kind", ["llama", "gemma3_text", "gpt2", "falcon"])
@pytest.mark.parametrize("name", ["prompt-tuning", "prefix-tuning"])
def test_virtual_tokens_begin_as_the_tokens_they_were_shown(name: str, kind: str) -> None:
    own: dict[str, dict[str, Any]] = {
        "gemma3_text": {"head_dim": 8},
        "gpt2": {"num_key_value_heads": None},
        "falcon": {"num_key_value_heads": None, "multi_query": True},
    }
    fields = own.get(kind, {})
    asked = length_of(recipe(name, virtual_tokens=6), 32)
    tuned = shown(load_torch_half(find_card(name)).attach(small(kind, **fields), asked), torch.arange(97, 106))
    row = IDS[:, :9]
    want = logits_of(small(kind, **fields), torch.cat([torch.arange(100, 106)[None], row], 1))[:, 6:]
    torch.testing.assert_close(logits_of(tuned, row), want, atol=1e-5, rtol=1e-4)


def length_of(asked: Recipe, length: int) -> Recipe:
    return msgspec.structs.replace(asked, training=msgspec.structs.replace(asked.training, length=length))


def test_few_tokens_are_repeated_until_there_are_enough() -> None:
    tuned = shown(attach("prompt-tuning", virtual_tokens=5), torch.tensor([7, 8]))
    words = plain_base().get_input_embeddings().weight
    assert torch.equal(tuned.prompt_encoder["default"].embedding.weight, words[torch.tensor([8, 7, 8, 7, 8])])


def test_a_prefix_is_learned_just_the_same_where_activations_are_recomputed() -> None:
    gradients = []
    for recomputed in (False, True):
        model: Any = attach("prefix-tuning", virtual_tokens=6).model.train()
        if recomputed:
            model.gradient_checkpointing_enable({"use_reentrant": False})
            model.enable_input_require_grads()
        model(input_ids=IDS, attention_mask=torch.ones_like(IDS), labels=IDS, use_cache=False).loss.backward()
        gradients.append(model.prompt_encoder["default"].embedding.weight.grad)
    assert gradients[0].abs().min() > 0
    torch.testing.assert_close(gradients[1], gradients[0])


def test_gpt2_loses_its_prefix_where_activations_are_recomputed_and_is_refused() -> None:
    asked = length_of(recipe("prefix-tuning", virtual_tokens=6), 32)
    training = msgspec.structs.replace(asked.training, activation_checkpointing="on")
    with pytest.raises(Refusal, match='Set it to "off"'):
        load_torch_half(find_card("prefix-tuning")).attach(
            small("gpt2", num_key_value_heads=None), msgspec.structs.replace(asked, training=training)
        )


@pytest.mark.parametrize("name", VIRTUAL)
def test_rows_behind_the_last_learned_position_are_refused(name: str) -> None:
    half, asked = load_torch_half(find_card(name)), recipe(name, virtual_tokens=6)
    with pytest.raises(Refusal, match=r"learned 64 positions.*Set training\.length to 58 or less"):
        half.attach(small("gpt2", num_key_value_heads=None), length_of(asked, 59))
    half.attach(small("gpt2", num_key_value_heads=None), length_of(asked, 58))
    half.attach(small("llama"), length_of(asked, 59))


def test_a_prefix_needs_keys_and_values_of_one_size() -> None:
    latent = {"q_lora_rank": 16, "kv_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8}
    experts = {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1}
    model = small("deepseek_v3", **latent, **experts, moe_intermediate_size=16, num_key_value_heads=4)
    with pytest.raises(Refusal, match="keys and values of one size"):
        load_torch_half(find_card("prefix-tuning")).attach(model, recipe("prefix-tuning", virtual_tokens=6))


@pytest.mark.parametrize("name", [*VIRTUAL, "trainable-tokens", "ln-tuning"])
def test_an_answer_is_the_one_the_model_gives_token_by_token(name: str) -> None:
    asked = msgspec.structs.replace(recipe(name), evaluation=Looks(samples=1, sample_tokens=12))
    rows = load_rows(asked)
    tokenizer = load_tokenizer(FOUND, Model(name="bundled"))
    model: Any = started(name, asked, tokenize(rows.trained, tokenizer, 256))
    torch.manual_seed(3)
    for weight in trained(model).values():
        weight.data += 0.1 * weight.data.std() * torch.randn_like(weight)
    told: list[Any] = []
    sampler = Sampler(rows.held_out, tokenizer, asked.evaluation, 256, frozenset())
    sampler.ask(model, 0, type("Log", (), {"emit": staticmethod(told.append)})())
    ids, said = torch.tensor([sampler._asker.questions[0].ids]), []
    while len(said) < asked.evaluation.sample_tokens and tokenizer.eos_token_id not in said:
        said.append(int(logits_of(model, ids)[0, -1].argmax()))
        ids = torch.cat([ids, torch.tensor([said[-1:]])], 1)
    assert told[0].answer == tokenizer.decode(said, skip_special_tokens=True).strip()


def test_frequent_tokens_are_those_of_the_rows_and_a_checkpoint_remembers_them(tmp_path: Path) -> None:
    first = attach("trainable-tokens")
    model = shown(first, torch.tensor([500] * 9 + [2000] * 5 + [30, 40]))
    chosen = model.peft_config["default"].token_indices
    assert chosen[:6] == [500, 2000, 30, 40, 0, 1]
    torch.testing.assert_close(logits(model), logits(plain_base()))
    for weight in trained(model).values():
        weight.data += 0.05 * torch.randn_like(weight)
    save_method(model, first.state, tmp_path)
    second = attach("trainable-tokens")
    assert second.state is not None
    load_weights(second.model, tmp_path)
    load_state(second.state, tmp_path)
    torch.testing.assert_close(logits(shown(second, IDS[0])), logits(model))  # a later look changes nothing
    assert second.model.peft_config["default"].token_indices == chosen


def test_a_shared_head_scores_with_what_is_trained() -> None:
    model = attach("trainable-tokens", tokens=["<|im_end|>"]).model.get_base_model()
    head, table = model.get_output_embeddings(), model.get_input_embeddings()
    assert isinstance(head, SharedHead)
    (weight,) = table.trainable_tokens_delta.values()
    weight.data += 1.0
    assert torch.equal(head.weight[2], weight[0])
    assert torch.equal(head.weight[3:], table.base_layer.weight[3:])


def test_a_saved_adapter_of_a_shared_head_is_whole_to_plain_peft(tmp_path: Path) -> None:
    attached = attach("trainable-tokens", tokens=["<|im_end|>"])
    for weight in trained(attached.model).values():
        weight.data += 0.1
    tuned = logits(attached.model)
    load_torch_half(find_card("trainable-tokens")).save(attached, tmp_path)
    torch.testing.assert_close(logits(attached.model), tuned)
    with pytest.warns() as told:
        loaded = peft.PeftModel.from_pretrained(plain_base(), tmp_path)
    assert not [str(warning.message) for warning in told if "missing" in str(warning.message)]
    torch.testing.assert_close(logits(loaded), tuned)


def test_a_head_of_its_own_stays_as_it_is() -> None:
    model = small("llama", tie_word_embeddings=False)
    before = logits_of(model, IDS[:, :9])
    attached = load_torch_half(find_card("trainable-tokens")).attach(model, recipe("trainable-tokens"))
    assert type(attached.model.get_base_model().get_output_embeddings()) is nn.Linear
    torch.testing.assert_close(logits_of(attached.model, IDS[:, :9]), before)
    assert sum(weight.numel() for weight in trained(attached.model).values()) == 64 * 32


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (["<tool>"], r"'<tool>' is [2-9] tokens to this model \(.*\), and one is expected"),
        (["<|im_end|>", "<|im_end|>"], "'<.im_end.>' and '<.im_end.>' are the same token"),
    ],
)
def test_texts_that_are_no_single_tokens_are_refused(tokens: list[str], said: str) -> None:
    with pytest.raises(Refusal, match=said):
        attach("trainable-tokens", tokens=tokens)


def test_full_fine_tuning_trains_a_16_bit_model_in_float32_and_saves_it_whole(tmp_path: Path) -> None:
    half = load_torch_half(find_card("full"))
    attached = half.attach(load_model(FOUND, torch.bfloat16, CPU), recipe("full"))
    weights = dict(attached.model.named_parameters())
    assert trained(attached.model) == weights
    assert {weight.dtype for weight in weights.values()} == {torch.float32}
    for weight in weights.values():
        weight.data += 1e-4
    half.save(attached, tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    loaded = half.load(plain_base(), tmp_path)
    torch.testing.assert_close(logits(loaded), logits(attached.model))
    assert half.merge(loaded) is loaded
    torch.testing.assert_close(logits(AutoModelForCausalLM.from_pretrained(tmp_path)), logits(attached.model))


def test_full_fine_tuning_refuses_a_packed_model(tmp_path: Path) -> None:
    half, packed = load_torch_half(find_card("full")), packed_base()
    with pytest.raises(Refusal, match="trains a model in full precision"):
        half.attach(packed, recipe("full"))
    with pytest.raises(Refusal, match="loads a model in full precision"):
        half.load(packed, tmp_path)
