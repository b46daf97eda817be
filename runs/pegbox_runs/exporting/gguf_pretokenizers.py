"""How a text is cut before its tokens are looked for: the same cut, found among those that llama.cpp has by name.

llama.cpp's own script knows a tokenizer by the hash of what it makes of one text, so it knows published vocabularies
alone. What a file must say is only which cut to make; so it is the cut that is recognised here, whatever the
vocabulary, and a name with another cut is never taken for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pegbox_runs.printable import one_line


class Cut(NamedTuple):
    """One of llama.cpp's ways to cut a text. Source: llama.cpp, src/llama-vocab.cpp."""

    name: str
    """What `tokenizer.ggml.pre` says."""
    patterns: tuple[str, ...]
    """Each is applied to what the ones before it left; what a pattern finds, and what lies between, are pieces."""
    whole_words: bool = False
    """A piece that is a token by itself isn't put together by merges."""


GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_SHORTENED = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = rf"{_SHORTENED}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_REST}"
QWEN2 = rf"{_SHORTENED}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_REST}"

CUTS: Mapping[str, Cut] = {
    cut.name: cut
    for cut in (
        Cut("gpt-2", (GPT2,)),
        Cut("smollm", (r"\p{N}", GPT2)),
        Cut("llama-bpe", (LLAMA3,), whole_words=True),
        Cut("smaug-bpe", (LLAMA3,)),
        Cut("qwen2", (QWEN2,)),
    )
}
_ANY_CASE = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPLITS = {pattern.replace(_SHORTENED, _ANY_CASE): pattern for pattern in (LLAMA3, QWEN2)}
"""llama.cpp's pattern by the one that tokenizer.json has for it: its regular expressions know no (?i:...)."""


class UnknownCut(Exception):
    """llama.cpp has no name for this; `str` says why in a clause."""


def cut_of(tokenizer: Mapping[str, Any]) -> Cut:
    """Recognise the cut of a tokenizer.json.

    Raises: UnknownCut.
    """
    model = tokenizer.get("model") or {}
    if model.get("type") != "BPE" or model.get("byte_fallback"):
        kind = "SentencePiece" if model.get("byte_fallback") else model.get("type")
        raise UnknownCut(f"its tokenizer is of the kind {one_line(str(kind), 40)}, not byte-level BPE")
    if model.get("dropout") or model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        raise UnknownCut("its BPE drops merges at random, or marks the middle or the end of words")
    normalizer = tokenizer.get("normalizer")
    if normalizer is not None and normalizer.get("type") != "NFC":
        raise UnknownCut(f"its tokenizer changes the text first ({one_line(str(normalizer.get('type')), 40)})")
    patterns = _patterns(_steps(tokenizer.get("pre_tokenizer")))
    whole_words = bool(model.get("ignore_merges"))
    for cut in CUTS.values():
        if (cut.patterns, cut.whole_words) == (patterns, whole_words):
            return cut
    raise UnknownCut("llama.cpp has no name for the way its tokenizer cuts a text")


def normalizes(tokenizer: Mapping[str, Any]) -> bool:
    """Tell whether a tokenizer.json composes characters first, which llama.cpp doesn't."""
    return tokenizer.get("normalizer") is not None


def _steps(given: Mapping[str, Any] | None) -> Sequence[Mapping[str, Any]]:
    if given is None:
        return ()
    return given.get("pretokenizers", ()) if given.get("type") == "Sequence" else (given,)


def _patterns(steps: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Write tokenizer.json's steps as llama.cpp's patterns. Raises: UnknownCut."""
    if not steps or steps[-1].get("type") != "ByteLevel" or steps[-1].get("add_prefix_space"):
        raise UnknownCut("its tokenizer doesn't end in bytes, or puts a space before the text")
    found = []
    for step in steps[:-1]:
        if step.get("type") == "Digits" and step.get("individual_digits"):
            found.append(r"\p{N}")
        elif step.get("type") == "Split" and step.get("behavior") == "Isolated" and not step.get("invert"):
            pattern = str((step.get("pattern") or {}).get("Regex"))
            found.append(_SPLITS.get(pattern, f"unknown: {pattern}"))
        else:
            raise UnknownCut(f"llama.cpp has no name for its step {one_line(str(step.get('type')), 40)}")
    return (*found, GPT2) if steps[-1].get("use_regex", True) else tuple(found)
