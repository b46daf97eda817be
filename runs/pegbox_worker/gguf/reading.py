"""A GGUF file read back as others read it: the weights by transformers, the tokenizer by llama.cpp's rules.

transformers reads the tokens too, but guesses how a text is cut: it knows the names of some cuts alone. So the
tokenizer is put together here, from what the file says and what llama.cpp does with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from gguf import GGUFReader, Keys, ReaderTensor, TokenType
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES
from transformers.utils.quantization_config import GgufConfig

from pegbox_methods.refusal import Refusal
from pegbox_runs.exporting.gguf_pretokenizers import CUTS
from pegbox_worker.gguf.fields import Fields
from pegbox_worker.gguf.writing import ROPE_FACTORS

FLOAT_TOLERANCE = 1e-6
"""Relative: floats in a file's head have 24 bits."""


class GgufFile:
    """A file's head; its weights are left where they are."""

    def __init__(self, path: Path) -> None:
        """Read the head. Raises: Refusal: it isn't a GGUF file, or broken."""
        self.path = path
        try:
            self._reader = GGUFReader(path)
        except (OSError, ValueError, IndexError, KeyError) as error:
            raise Refusal(f"{path}: can't be read as GGUF: {error}.") from error
        self.architecture = str(self.get(Keys.General.ARCHITECTURE))

    def get(self, key: str) -> Any:
        """Give an entry; {arch} in its key stands for the file's architecture. None: it isn't there."""
        if "{arch}" in key:
            key = key.format(arch=self.architecture)
        field = self._reader.get_field(key)
        return None if field is None else field.contents()

    def tensors(self) -> dict[str, ReaderTensor]:
        """Give its tensors by name, their numbers still on disk."""
        return {tensor.name: tensor for tensor in self._reader.tensors}

    def rope_factors(self) -> torch.Tensor | float:
        """Give what the rope's frequencies are divided by."""
        factors = self.tensors().get(ROPE_FACTORS)
        if factors is not None:
            return torch.from_numpy(factors.data.copy())
        return float(self.get(Keys.Rope.SCALING_FACTOR) or 1.0)


def differing_fields(file: GgufFile, expected: Fields) -> list[str]:
    """List the keys whose values aren't the expected ones."""
    return [key for key, field in expected.items() if not _same(file.get(key), field.value)]


def tokenizer_of(file: GgufFile) -> PreTrainedTokenizerFast:
    """Put together the tokenizer that a file tells of, as llama.cpp does. Source: llama.cpp, src/llama-vocab.cpp.

    Raises: Refusal: it is of another kind than byte-level BPE, or cuts a text in a way that isn't known here.
    """
    kind, name = file.get(Keys.Tokenizer.MODEL), file.get(Keys.Tokenizer.PRE)
    if kind != "gpt2" or name not in CUTS:
        raise Refusal(f"{file.path}: its tokenizer ({kind}, {name}) can't be read back here.")
    cut, tokens, kinds = CUTS[name], file.get(Keys.Tokenizer.LIST), file.get(Keys.Tokenizer.TOKEN_TYPE)
    merges = [tuple(merge.split(" ", 1)) for merge in file.get(Keys.Tokenizer.MERGES) or ()]
    used = {text: row for row, text in enumerate(tokens) if kinds[row] != TokenType.UNUSED}
    built = Tokenizer(models.BPE(vocab=used, merges=merges, ignore_merges=cut.whole_words))
    built.pre_tokenizer = pre_tokenizers.Sequence(
        [
            *(pre_tokenizers.Split(Regex(pattern), behavior="isolated") for pattern in cut.patterns),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    built.decoder = decoders.ByteLevel()
    for kind, special in ((TokenType.CONTROL, True), (TokenType.USER_DEFINED, False)):
        found = [AddedToken(tokens[row], normalized=False, special=special) for row in _rows(kinds, kind)]
        (built.add_special_tokens if special else built.add_tokens)(found)
    built.post_processor = _dressing(file, tokens)
    return PreTrainedTokenizerFast(tokenizer_object=built, chat_template=_template(file), **_named(file, tokens))


def load_gguf(file: GgufFile, device: torch.device) -> Any:
    """Load a file's weights in float32, by transformers' own reader.

    That reader passes over the width of heads and the scaling of the rope, which are taken from the file here.
    Raises: Refusal: transformers can't read this architecture.
    """
    if file.architecture not in GGUF_SUPPORTED_ARCHITECTURES:
        raise Refusal(f"{file.path}: transformers can't read the architecture {file.architecture} back.")
    folder, name = str(file.path.parent), file.path.name
    config = AutoConfig.from_pretrained(folder, gguf_file=name, local_files_only=True, trust_remote_code=False)
    width = file.get(Keys.Attention.KEY_LENGTH)
    if width is not None:
        config.head_dim = width
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file=name,
        config=config,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float32,
        local_files_only=True,
        trust_remote_code=False,
    )
    rotary = getattr(model.model, "rotary_emb", None)
    if rotary is not None:
        rotary.inv_freq = rotary.inv_freq / file.rope_factors()
        rotary.original_inv_freq = rotary.inv_freq
    return model.to(device).eval().requires_grad_(False)


def _dressing(file: GgufFile, tokens: list[str]) -> processors.TemplateProcessing:
    """Put the first and the last token around a text that the file asks for."""
    begin = file.get(Keys.Tokenizer.BOS_ID) if file.get(Keys.Tokenizer.ADD_BOS) else None
    end = file.get(Keys.Tokenizer.EOS_ID) if file.get(Keys.Tokenizer.ADD_EOS) else None
    used = {tokens[row]: row for row in (begin, end) if row is not None}
    around = [None if row is None else tokens[row] for row in (begin, end)]
    single = [piece for piece in (around[0], "$A", around[1]) if piece is not None]
    return processors.TemplateProcessing(single=single, special_tokens=list(used.items()))


def _rows(kinds: list[int], wanted: TokenType) -> list[int]:
    return [row for row, kind in enumerate(kinds) if kind == wanted]


def _template(file: GgufFile) -> str | None:
    found = file.get(Keys.Tokenizer.CHAT_TEMPLATE)
    return found if isinstance(found, str) else None


def _named(file: GgufFile, tokens: list[str]) -> dict[str, str]:
    keys = {
        "bos_token": Keys.Tokenizer.BOS_ID,
        "eos_token": Keys.Tokenizer.EOS_ID,
        "unk_token": Keys.Tokenizer.UNK_ID,
        "pad_token": Keys.Tokenizer.PAD_ID,
    }
    found = {name: file.get(key) for name, key in keys.items()}
    return {name: tokens[row] for name, row in found.items() if row is not None}


def _same(found: Any, expected: Any) -> bool:
    if isinstance(expected, float):
        return isinstance(found, float) and abs(found - expected) <= FLOAT_TOLERANCE * abs(expected)
    return bool(found == expected)
