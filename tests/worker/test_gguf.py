"""GGUF files: what is written is what is read back, and what is written wrong is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import Keys, TokenType
from tokenizers import Regex, Tokenizer, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from pegbox_methods.refusal import Refusal
from pegbox_runs.exporting.gguf_pretokenizers import CUTS, LLAMA3, QWEN2, UnknownCut, cut_of
from pegbox_runs.light_tokenizer import ends_of_model
from pegbox_runs.models import BUNDLED
from pegbox_worker.gguf import writing
from pegbox_worker.gguf.comparing import differing_texts
from pegbox_worker.gguf.fields import config_of, fields_of
from pegbox_worker.gguf.reading import GgufFile, differing_fields, load_gguf, tokenizer_of
from pegbox_worker.gguf.vocabulary import WITHOUT_BEGIN, Vocabulary, vocabulary_of
from tests.methods_at_work import one_thread
from tests.worker.tiny_models import CONFIGS, tiny_model

CPU = torch.device("cpu")
MODEL = BUNDLED / "model"
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}DIGITS"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Of the tokenizer.json of Qwen 2, and of Llama 3's with other digits."""


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    with one_thread():
        yield


def written(folder: Path, quant: str, file: Path, tokenizer: Any = None) -> GgufFile:
    config = config_of(folder)
    known = AutoTokenizer.from_pretrained(folder) if tokenizer is None else tokenizer
    fields = fields_of(
        config, vocabulary_of(known, config["vocab_size"], ends_of_model(folder)), name="tiny", quant=quant
    )
    writing.write_gguf(folder, config, file, fields, quant)
    found = GgufFile(file)
    assert differing_fields(found, fields) == []
    return found


def mean_kl(folder: Path, file: GgufFile) -> float:
    """Of all positions of a text that is long enough for positions to matter."""
    ids = torch.arange(3, 203).remainder(3000)[None]
    source = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        p, q = (model(ids).logits[0].double().log_softmax(-1) for model in (source, load_gguf(file, CPU)))
    return float((p.exp() * (p - q)).sum(-1).mean())


@pytest.mark.parametrize("name", CONFIGS)
def test_a_model_of_each_family_reads_back_as_it_was_written(name: str, tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model", CONFIGS[name])
    assert mean_kl(folder, written(folder, "f32", tmp_path / "f32.gguf")) < 1e-9
    assert mean_kl(folder, written(folder, "f16", tmp_path / "f16.gguf")) < 1e-4


@pytest.mark.parametrize(
    ("quant", "bound", "bits"), [("f16", 1e-9, 16), ("bf16", 1e-9, 16), ("q8_0", 0.01, 8.5), ("q5_1", 0.5, 6)]
)
def test_the_bundled_model_costs_little_in_each_number_format(
    quant: str, bound: float, bits: float, tmp_path: Path
) -> None:
    file = written(MODEL, quant, tmp_path / "model.gguf")
    assert mean_kl(MODEL, file) < bound
    weights = sum(weight.numel() for weight in AutoModelForCausalLM.from_pretrained(MODEL).parameters())
    assert bits / 8 <= file.path.stat().st_size / weights < 1.6 * bits / 8


def test_rows_in_the_wrong_order_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_permuted", lambda _source, _config: 0)
    assert mean_kl(MODEL, written(MODEL, "f32", tmp_path / "model.gguf")) > 0.1


@pytest.mark.parametrize("name", ["llama 3's rope", "linear rope"])
def test_a_rope_that_is_left_unscaled_is_found(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_model(tmp_path / "model", CONFIGS[name])
    file = written(folder, "f32", tmp_path / "model.gguf")
    monkeypatch.setattr(GgufFile, "rope_factors", lambda _self: 1.0)
    assert mean_kl(folder, file) > 1e-3


def test_a_large_weight_is_written_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(MODEL, "q8_0", tmp_path / "whole.gguf")
    monkeypatch.setattr(writing, "CHUNK", 1000)
    written(MODEL, "q8_0", tmp_path / "pieces.gguf")
    assert (tmp_path / "whole.gguf").read_bytes() == (tmp_path / "pieces.gguf").read_bytes()


def test_a_weight_beyond_float16_is_refused_and_goes_into_bfloat16(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model", CONFIGS["qwen2"])
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight[0, 0] = 1e5
    model.save_pretrained(folder)
    with pytest.raises(Refusal, match=r"down_proj.*too large for float16.*bf16"):
        written(folder, "f16", tmp_path / "f16.gguf")
    assert mean_kl(folder, written(folder, "bf16", tmp_path / "bf16.gguf")) < 0.1


def test_a_weight_that_is_not_a_number_is_refused(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model", CONFIGS["qwen2"])
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.model.norm.weight[3] = float("nan")
    model.save_pretrained(folder)
    with pytest.raises(Refusal, match=r"model\.norm\.weight: holds numbers that aren't finite"):
        written(folder, "q8_0", tmp_path / "model.gguf")


def test_rows_that_do_not_come_out_even_in_blocks_stay_in_float16(tmp_path: Path) -> None:
    config = CONFIGS["qwen2"].__class__(**{**CONFIGS["qwen2"].to_dict(), "intermediate_size": 90})
    folder = tiny_model(tmp_path / "model", config)
    assert mean_kl(folder, written(folder, "q8_0", tmp_path / "model.gguf")) < 0.01


def test_the_tokenizer_read_back_cuts_all_odd_texts_alike(tmp_path: Path, tokenizer: Any) -> None:
    file = written(MODEL, "f16", tmp_path / "model.gguf")
    assert differing_texts(tokenizer_of(file), tokenizer) == []


@pytest.mark.parametrize("name", [name for name in CUTS if name != "gpt-2"])
def test_another_cut_is_found(name: str, tmp_path: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(MODEL, "f16", tmp_path / "model.gguf")
    monkeypatch.setattr(file, "get", lambda key: name if key == Keys.Tokenizer.PRE else GgufFile.get(file, key))
    assert differing_texts(tokenizer_of(file), tokenizer) != []


def cut_like(tokenizer: Any, *steps: Any, whole_words: bool = False, normalizer: Any = None) -> Any:
    """Give the bundled tokenizer another cut."""
    table = json.loads(tokenizer.backend_tokenizer.to_str())
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": not steps}
    table["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [*steps, byte_level]}
    table["model"]["ignore_merges"] = whole_words
    table["normalizer"] = normalizer
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(table)), eos_token="<|im_end|>", chat_template="{{ messages }}"
    )


def steps(*given: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "pretokenizers": [*given, {"type": "ByteLevel", "use_regex": False}]}


def split(digits: str) -> dict[str, Any]:
    pattern = {"Regex": SPLIT.replace("DIGITS", digits)}
    return {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}


@pytest.mark.parametrize(
    ("name", "steps", "whole_words"),
    [
        ("llama-bpe", [split("{1,3}")], True),
        ("smaug-bpe", [split("{1,3}")], False),
        ("qwen2", [split("")], False),
        ("smollm", [{"type": "Digits", "individual_digits": True}], False),
    ],
)
def test_each_cut_is_known_by_what_it_does_and_read_back_the_same(
    name: str, steps: list[Any], whole_words: bool, tmp_path: Path, tokenizer: Any
) -> None:
    other = cut_like(tokenizer, *steps, whole_words=whole_words)
    if name == "smollm":
        table = json.loads(other.backend_tokenizer.to_str())
        table["pre_tokenizer"]["pretokenizers"][-1]["use_regex"] = True
        other = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(table)), eos_token="<|im_end|>")
    file = written(MODEL, "f16", tmp_path / "model.gguf", other)
    assert file.get(Keys.Tokenizer.PRE) == name
    assert differing_texts(tokenizer_of(file), other) == []


@pytest.mark.parametrize(("ours", "digits"), [(LLAMA3, "{1,3}"), (QWEN2, "")])
def test_llama_cpps_patterns_cut_as_those_of_the_models_do(ours: str, digits: str) -> None:
    text = "I'll ShE'S 12345 ½٣٤ naïve\r\n\n  x我想 ''' ...!!\t\u2028 'Re'lL 🚀🚀 a\u00a0b"
    theirs = SPLIT.replace("DIGITS", digits)
    cuts = [pre_tokenizers.Split(Regex(pattern), "isolated").pre_tokenize_str(text) for pattern in (ours, theirs)]
    assert cuts[0] == cuts[1]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": {"type": "Unigram"}}, "of the kind Unigram"),
        ({"model": {"type": "BPE", "byte_fallback": True}}, "of the kind SentencePiece"),
        ({"normalizer": {"type": "Lowercase"}}, "changes the text first"),
        ({"pre_tokenizer": None}, "doesn't end in bytes"),
        ({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}}, "puts a space before"),
        ({"pre_tokenizer": steps(split("{1,2}"))}, "no name for the way"),
        ({"pre_tokenizer": steps({"type": "Whitespace"})}, "no name for its step Whitespace"),
    ],
)
def test_a_cut_without_a_name_is_said(changed: dict[str, Any], said: str, tokenizer: Any) -> None:
    table = json.loads(tokenizer.backend_tokenizer.to_str())
    with pytest.raises(UnknownCut, match=said):
        cut_of(table | changed)


def vocabulary(tokenizer: Any, size: int = 3072) -> Vocabulary:
    return vocabulary_of(tokenizer, size, frozenset({0, 2}))


def test_tokens_are_told_apart_by_what_they_are_for(tokenizer: Any) -> None:
    found = vocabulary(tokenizer, 3080)
    assert found.kinds[0] == found.kinds[1] == found.kinds[2] == TokenType.CONTROL
    assert found.kinds[100] == TokenType.NORMAL
    assert (found.tokens[3079], found.kinds[3079]) == ("[PAD3079]", TokenType.UNUSED)
    assert (found.special.end, found.special.end_of_turn, found.special.begin) == (2, 0, None)
    assert "endgeneration" not in (found.template or "")


def test_more_tokens_than_the_model_has_are_refused(tokenizer: Any) -> None:
    with pytest.raises(Refusal, match="has 3072 tokens, and the model's embedding holds 3000"):
        vocabulary(tokenizer, 3000)


@pytest.mark.parametrize("written_by_template", [True, False])
def test_a_begin_token_is_asked_for_only_where_prompts_begin_with_it(written_by_template: bool, tokenizer: Any) -> None:
    table = json.loads(tokenizer.backend_tokenizer.to_str())
    table["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [1], "tokens": ["<|im_start|>"]}},
    }
    begin = "{{ bos_token }}" if written_by_template else "Q: "
    other = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(table)),
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        chat_template=begin + "{% for m in messages %}{{ m.content }}{% endfor %}",
    )
    found = vocabulary(other)
    assert found.adds_begin == written_by_template
    assert (WITHOUT_BEGIN in found.remarks) != written_by_template


def test_a_file_that_is_no_gguf_or_broken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.gguf").write_bytes(b"not a model")
    whole = written(MODEL, "q8_0", tmp_path / "model.gguf").path.read_bytes()
    (tmp_path / "half.gguf").write_bytes(whole[: len(whole) // 20])
    for name in ("no.gguf", "half.gguf", "none.gguf"):
        with pytest.raises(Refusal, match=r"can't be read as GGUF"):
            GgufFile(tmp_path / name)


def test_llama_3s_factors_are_transformers_own(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model", CONFIGS["llama 3's rope"])
    factors = written(folder, "f16", tmp_path / "model.gguf").rope_factors()
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    theta = 500.0 ** -(torch.arange(0, 16, 2) / 16)
    np.testing.assert_allclose((theta / factors).numpy(), model.model.rotary_emb.inv_freq.numpy(), rtol=1e-6)
