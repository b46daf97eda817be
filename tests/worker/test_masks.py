"""What is learned of a conversation, token for token, against transformers' and TRL's own assistant-only path."""

from __future__ import annotations

import copy
import functools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import trl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2.exceptions import TemplateError

from pegbox_methods.refusal import Refusal
from pegbox_runs.light_tokenizer import LightTokenizer
from pegbox_runs.rows.chat_template import ChatTemplate, NoTemplate
from pegbox_runs.rows.example import Conversation, Message
from pegbox_runs.rows.masking import IGNORED, MaskedRow, mask_rows
from pegbox_runs.rows.rendering import Rendered, RowRenderer
from pegbox_worker.row_tokenizer import FastRowTokenizer
from tests.chats import CHATS, NAMED, NAMES, as_dicts, template_text, tokenizer_for

TRL_TEMPLATES = Path(trl.__file__).parent / "chat_templates"


@functools.cache
def tokenizer_of(name: str) -> Any:
    return tokenizer_for(name)


@functools.cache
def trl_renderer(stem: str) -> RowRenderer:
    return RowRenderer(
        ChatTemplate((TRL_TEMPLATES / f"{stem}.jinja").read_text(), {"bos_token": "<s>", "eos_token": "</s>"})
    )


@functools.cache
def unmarked(name: str) -> Any:
    chosen = copy.deepcopy(tokenizer_of(name))
    chosen.chat_template = template_text(name)
    return chosen


def trained(row: MaskedRow) -> list[bool]:
    return [label != IGNORED for label in row.labels]


def theirs(tokenizer: Any, chat: Conversation) -> tuple[list[int], list[bool]]:
    found = tokenizer.apply_chat_template(
        as_dicts(chat),
        tools=json.loads(chat.tools) if chat.tools else None,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    return found["input_ids"], [bool(mask) for mask in found["assistant_masks"]]


def everywhere(test: Any) -> Any:
    return pytest.mark.parametrize("name", NAMES)(pytest.mark.parametrize("chat", CHATS.values(), ids=CHATS)(test))


@everywhere
def test_masks_equal_those_of_transformers_with_and_without_marks(name: str, chat: Conversation) -> None:
    marked, plain = tokenizer_of(name), unmarked(name)
    try:
        ids, mask = theirs(marked, chat)
    except TemplateError:
        for tokenizer in (marked, plain):
            with pytest.raises(NoTemplate):
                list(mask_rows([chat], FastRowTokenizer(tokenizer)))
        return
    for tokenizer in (marked, plain):
        (row,) = mask_rows([chat], FastRowTokenizer(tokenizer))
        assert row.ids == ids
        assert tokenizer.decode([i for i, one in zip(ids, trained(row), strict=True) if one]) == tokenizer.decode(
            [i for i, one in zip(ids, mask, strict=True) if one]
        )
        assert trained(row)[1:] == mask[1:]


@everywhere
@pytest.mark.parametrize("prompting", [False, True])
def test_text_equals_what_transformers_writes_and_the_twins_are_alike(
    name: str, chat: Conversation, prompting: bool
) -> None:
    tokenizer = unmarked(name)
    texts = [ChatTemplate(template_text(name, marked=m), tokenizer.special_tokens_map) for m in (False, True)]
    try:
        wanted = tokenizer.apply_chat_template(
            as_dicts(chat),
            tools=json.loads(chat.tools) if chat.tools else None,
            tokenize=False,
            add_generation_prompt=prompting,
        )
    except TemplateError:
        for template in texts:
            with pytest.raises(NoTemplate, match="refuses the roles"):
                template.render(chat.messages, tools=chat.tools, prompting=prompting)
        return
    plain, marked = (template.render(chat.messages, tools=chat.tools, prompting=prompting) for template in texts)
    assert plain.text == marked.text == wanted
    assert plain.marks is None
    assert marked.marks is not None


ORIGINALS = {"qwen2_5": "qwen2_5", "qwen3": "qwen3", "gemma_2": "gemma", "phi_3_5": "phi3_5", "llama_3_1": "llama3_1"}


@pytest.mark.parametrize("name", ORIGINALS)
@pytest.mark.parametrize("chat", CHATS.values(), ids=CHATS)
def test_what_was_written_down_is_the_public_template(name: str, chat: Conversation) -> None:
    public = (TRL_TEMPLATES / f"{ORIGINALS[name]}.jinja").read_text()
    found = []
    for source in (template_text(name), public):
        try:
            found.append(ChatTemplate(source, NAMED.get(name, {})).render(chat.messages, tools=chat.tools).text)
        except NoTemplate:
            found.append("refused")
    assert found[0] == found[1]


@pytest.mark.parametrize("name", NAMES)
def test_the_light_tokenizer_gives_the_same_masks(tmp_path: Path, name: str) -> None:
    for marked in (False, True):
        tokenizer = tokenizer_of(name) if marked else unmarked(name)
        folder = tmp_path / str(marked)
        tokenizer.save_pretrained(folder)
        light, full = LightTokenizer(folder), FastRowTokenizer(tokenizer)
        assert (light.special, light.end) == (full.special, full.end)
        for chat in CHATS.values():
            try:
                wanted = list(mask_rows([chat], full))
            except NoTemplate as error:
                with pytest.raises(NoTemplate, match=re.escape(error.sentence)):
                    list(mask_rows([chat], light))
                continue
            assert list(mask_rows([chat], light)) == wanted


@pytest.mark.parametrize("name", NAMES)
def test_no_question_is_ever_learned_whatever_it_imitates(name: str) -> None:
    for key, chat in CHATS.items():
        try:
            rendered = RowRenderer(ChatTemplate(template_text(name), NAMED.get(name, {}))).render(chat)
        except NoTemplate:
            continue
        said = "".join(rendered.text[begin:stop] for begin, stop in rendered.learned)
        assert "EVIL" not in said, key
        assert "grey" not in said, key


PIECES = ["<|im_end|>", "<|im_start|>assistant\n", "<start_of_turn>model\n", "[/INST]", "</s>", "<|assistant|>\n"]
PIECES += ["<think>", "</think>", "<tool_response>", "\n", " ", "a", "Ä", "{%", "}}", "<", ">", "\\n", '"', "\x00", "|"]
WORDS = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=3), system=st.none() | WORDS)
def test_any_text_is_learned_as_the_marked_twin_has_it_or_refused(
    name: str, turns: list[tuple[str, str]], system: str | None
) -> None:
    messages = [Message("system", system)] if system is not None and name != "gemma_2" else []
    for asked, said in turns:
        messages += [Message("user", asked), Message("assistant", said)]
    chat = Conversation(tuple(messages))
    plain, marked = (
        RowRenderer(ChatTemplate(template_text(name, marked=m), NAMED.get(name, {}))) for m in (False, True)
    )
    wanted, refused = characters(marked.render(chat)), ""
    try:
        assert characters(plain.render(chat)) == wanted
    except Refusal as error:
        refused = error.sentence
    # Those two take answers apart at </think>.
    assert not refused or ("leaves turn" in refused and name in {"qwen3", "deepseek_r1"})


def characters(row: Rendered) -> set[int]:
    return {place for begin, stop in row.learned for place in range(begin, stop)}


PAIRS = sorted(path.name.removesuffix("_training.jinja") for path in TRL_TEMPLATES.glob("*_training.jinja"))
HEADER = "TRL marks the header too, which a prompt already holds when the model is asked"
OTHERWISE_MARKED = {
    "deepseek_r1_distill": HEADER,
    "deepseekv3": HEADER,
    "gptoss": HEADER,
    "muse_glimmer": HEADER,
    "qwen2_5": "TRL marks the last line break of the header too, as in no other training template",
    "glm4moe": "TRL marks the next turn's header as the end of an answer, because the model knows no other",
}
"""Pairs whose marks hold what we learn and more, by the reason."""
OTHERWISE_WRITTEN = {"deepseek_r1_distill", "glm4moe", "qwen3", "qwen3_5_nothink", "qwen3_5_think", "qwen3_6"}
"""Training templates that keep the reasoning of earlier turns, or add it, so that some texts differ from the own."""
CONTENTS_OF_PARTS = {"idefics3", "llava_next", "smolvlm"}
"""Templates that leave out an answer that is a text and not a list of texts and pictures."""
HANDS_OVER = {"diffusion_gemma"}
"""Behind a tool call the model writes the token that begins the tool's answer, and the template moves words beside a
call behind that answer; TRL doesn't mark the token, and marks two passages."""


@pytest.mark.parametrize("name", PAIRS)
def test_masks_of_models_own_templates_equal_those_of_trls_training_twins(name: str) -> None:
    own, training = trl_renderer(name), trl_renderer(f"{name}_training")
    compared, refused = 0, []
    for key, chat in CHATS.items():
        try:
            wanted = training.render(chat)
            found = own.render(chat)
        except NoTemplate:
            continue
        except Refusal:
            refused.append(key)
            continue
        if found.text != wanted.text:
            assert name in OTHERWISE_WRITTEN, key
        elif name in OTHERWISE_MARKED:
            assert characters(found) < characters(wanted), key
        elif name not in HANDS_OVER or not chat.tools:
            assert characters(found) == characters(wanted), key
            compared += 1
    assert name in CONTENTS_OF_PARTS or refused == (["words beside a tool call"] if name in HANDS_OVER else [])
    assert compared >= (0 if name in {*OTHERWISE_MARKED, *CONTENTS_OF_PARTS} else 2)


def test_there_are_pairs_to_compare() -> None:
    assert {"llama3", "qwen3", "gemma", "phi3", "phi3_5", "cohere"} <= set(PAIRS)
