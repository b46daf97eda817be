"""Templates in Ollama's language: they write what the run's own do, or it is said why they can't."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pegbox_runs.exporting import ollama_go
from pegbox_runs.exporting.gguf_template import begin_of, without_marks
from pegbox_runs.exporting.ollama_check import compare, conversations, remarks_on
from pegbox_runs.exporting.ollama_go import NotGo
from pegbox_runs.exporting.ollama_modelfile import Told, context_of, modelfile, told_of
from pegbox_runs.exporting.ollama_parts import NotTakenApart, parts_of
from pegbox_runs.exporting.ollama_template import default_system, go_template, literal
from pegbox_runs.light_tokenizer import LightTokenizer
from pegbox_runs.models import BUNDLED
from pegbox_runs.rows.chat_template import ChatTemplate
from pegbox_runs.rows.example import Message
from tests.runs.modelfile_reader import read_modelfile

TEMPLATES = Path(__file__).parent.parent / "chat_templates"
ENDS = {
    "chatml": ("", "<|im_end|>"),
    "smollm2": ("", "<|im_end|>"),
    "zephyr": ("", "</s>"),
    "gemma_2": ("<bos>", "<end_of_turn>"),
    "phi_3_5": ("", "<|end|>"),
    "mistral_v0_3": ("<s>", "</s>"),
    "llama_3_1": ("<|begin_of_text|>", "<|eot_id|>"),
    "qwen2_5": ("", "<|im_end|>"),
    "qwen3": ("", "<|im_end|>"),
    "deepseek_r1": ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
}
"""Begin token that llama.cpp writes itself, and the token that ends an answer."""
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def template_named(name: str, *, marked: bool = False) -> ChatTemplate:
    begin, end = ENDS[name]
    source = (TEMPLATES / f"{name}{'_marked' if marked else ''}.jinja").read_text()
    return ChatTemplate(source, {"bos_token": begin, "eos_token": end})


def translated(template: ChatTemplate, end: str, begin: str = "") -> tuple[str, str, int]:
    """Give (template in Go, default system prompt, conversations that are alike)."""
    parts = parts_of(template, [end])
    default = default_system(parts)
    go = go_template(parts, begin=begin, default=default)
    return go, default, compare(template, go, begin=begin, default=default, takes_system=parts.system is not None)


@pytest.mark.parametrize("name", ENDS)
def test_a_known_template_writes_the_same_in_ollamas_language(name: str) -> None:
    begin, end = ENDS[name]
    go, _, compared = translated(template_named(name), end, begin)
    assert compared == (20 if name == "gemma_2" else 60)
    assert begin not in go or not begin


@pytest.mark.parametrize("name", ENDS)
def test_marks_of_what_is_learned_change_nothing(name: str) -> None:
    begin, end = ENDS[name]
    assert translated(template_named(name, marked=True), end, begin) == translated(template_named(name), end, begin)


@pytest.mark.parametrize("name", ENDS)
def test_a_template_without_marks_is_plain_jinja_and_writes_the_same(name: str) -> None:
    marked = template_named(name, marked=True)
    plain = ChatTemplate(without_marks(marked.source), marked.special_tokens)
    assert "endgeneration" in marked.source
    assert "endgeneration" not in plain.source
    for turns in conversations(takes_system=name != "gemma_2"):
        told = [*turns, Message("assistant", "Yes.")]
        assert plain.render(told).text == marked.render(told).text
        assert plain.render(turns, prompting=True).text == marked.render(turns, prompting=True).text


@pytest.mark.parametrize(
    ("name", "system"),
    [
        ("smollm2", "You are a helpful AI assistant named SmolLM, trained by Hugging Face"),
        ("qwen2_5", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
        ("chatml", ""),
        ("llama_3_1", ""),
    ],
)
def test_a_system_prompt_of_the_templates_own_becomes_ollamas(name: str, system: str) -> None:
    assert translated(template_named(name), *reversed(ENDS[name]))[1] == system


def test_without_that_system_prompt_the_texts_would_differ() -> None:
    template = template_named("smollm2")
    go, default, _ = translated(template, "<|im_end|>")
    with pytest.raises(NotTakenApart, match="turns user are written otherwise"):
        compare(template, go, begin="", default=default + "!", takes_system=True)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{% for m in messages %}{{ m.content | upper }}{% endfor %}", "leaves contents out, changes them"),
        ("{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}", "leaves contents out, changes them"),
        ("{% for m in messages | reverse %}<{{ m.content }}>{% endfor %}", "in another order"),
        ("{{ raise_exception('No.') }}", "refuses the roles user: No"),
        ("{% for m in messages %}{{ loop.length }}{{ m.content }}{% endfor %}", "depends on the turns"),
        ("{% for m in messages %}<{{ m.content | length }}>{{ m.content }}{% endfor %}", "written otherwise"),
        ("{% for m in messages %}{{ loop.index if loop.index > 4 }}<{{ m.content }}>{% endfor %}", "written otherwise"),
    ],
)
def test_a_template_that_fixed_texts_can_not_write_is_said(source: str, said: str) -> None:
    with pytest.raises(NotTakenApart, match=said):
        translated(ChatTemplate(source, {}), "</s>")


def test_a_system_prompt_in_the_first_question_is_put_there() -> None:
    source = (
        "{% set s = messages[0].content + '\n' if messages[0].role == 'system' else '' %}"
        "{% for m in messages if m.role != 'system' %}"
        "{% if m.role == 'user' %}[Q]{{ s if loop.first }}{{ m.content }}[/Q]"
        "{% else %}{{ m.content }}</s>{% endif %}{% endfor %}"
    )
    go, _, compared = translated(ChatTemplate(source, {}), "</s>")
    assert compared == 60
    assert "le $i 1" in go


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("llama_3_1", "takes spaces away"),
        ("qwen3", "leaves earlier reasoning"),
        ("gemma_2", "refuses system prompts"),
        ("llama_3_1", "Tools aren't taken along"),
    ],
)
def test_what_ollamas_language_can_not_do_is_told(name: str, said: str) -> None:
    template, (begin, end) = template_named(name), ENDS[name]
    go, default, _ = translated(template, end, begin)
    found = remarks_on(template, go, begin=begin, default=default, takes_system=name != "gemma_2")
    assert any(said in remark for remark in found)
    assert not any(said in remark for remark in told_of(LightTokenizer(BUNDLED / "model")).remarks)


@pytest.mark.parametrize(
    "text", ["{{ x }}", 'a"""b', "zero\u200bwidth", "no\u00a0break", "\x1b[0m", "{{", "plain\n\ttext"]
)
def test_a_text_comes_through_go_and_a_modelfile_as_it_was(text: str) -> None:
    go = f"<{literal(text)}>"
    assert ollama_go.render(go + "{{ range $i, $_ := .Messages }}{{ .Content }}{{ end }}", []) == f"<{text}>"
    told = Told(go, "", ("</s>",), (), 0)
    read = dict(read_modelfile(modelfile(told, "m.gguf", run="r", context=1)))
    assert read["template"] == go


@pytest.mark.parametrize(
    "text",
    ["{{ if .System }}x", "{{ end }}", "{{ nosuch .System .System }}", "{{ .System | upper }}", "{{ $x }}", "{{"],
)
def test_what_is_not_of_the_known_part_of_go_is_refused(text: str) -> None:
    with pytest.raises((NotGo, KeyError)):
        ollama_go.render(text, [Message("user", "a")])


def test_ollama_puts_turns_of_one_role_together_and_adds_its_system_prompt() -> None:
    go = "{{ .System }}|{{ range $i, $_ := .Messages }}{{ .Role }}={{ .Content }};{{ end }}"
    turns = [Message("user", "a"), Message("user", "b")]
    assert ollama_go.render(go, turns, system="S") == "S|system=S;user=a\n\nb;"


def bundled(folder: Path, template: str | None = None, *, begins: bool = False) -> LightTokenizer:
    shutil.copytree(BUNDLED / "model", folder)
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    if begins:
        table = json.loads((folder / "tokenizer.json").read_text())
        single = [{"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
        named = {"<|im_start|>": {"id": "<|im_start|>", "ids": [1], "tokens": ["<|im_start|>"]}}
        table["post_processor"] |= {"single": single, "special_tokens": named}
        (folder / "tokenizer.json").write_text(json.dumps(table))
    return LightTokenizer(folder)


def test_a_begin_token_is_written_once(tmp_path: Path) -> None:
    assert begin_of(bundled(tmp_path / "with", CHATML, begins=True)) == "<|im_start|>"
    assert begin_of(bundled(tmp_path / "without", CHATML)) == ""
    assert begin_of(bundled(tmp_path / "other", "Q: " + CHATML, begins=True)) == ""


def test_the_modelfile_of_the_bundled_model_is_read_as_it_was_meant(tmp_path: Path) -> None:
    told = told_of(bundled(tmp_path / "model"))
    read = read_modelfile(modelfile(told, "mine.q8_0.gguf", run="r-1", context=1024))
    assert [command for command, _ in read] == ["from", "template", "stop", "num_ctx"]
    values = dict(read)
    assert values["from"] == "./mine.q8_0.gguf"
    assert values["stop"] == "<|im_end|>"
    assert values["num_ctx"] == "1024"
    turns = [Message("user", "What?")]
    assert ollama_go.render(values["template"], turns) == "<|im_start|>user\nWhat?<|im_end|>\n<|im_start|>assistant\n"


def test_a_system_prompt_with_quotes_and_lines_comes_through() -> None:
    told = Told("{{ .System }}", 'Say "yes".\n\nThen "no"', ("</s>", 'a"b'), (), 1)
    read = read_modelfile(modelfile(told, "m.gguf", run="r", context=5))
    assert ("system", 'Say "yes".\n\nThen "no"') in read
    assert ("stop", 'a"b') in read


def test_a_model_without_a_template_is_handed_what_is_typed(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(BUNDLED / "model", folder)
    (folder / "chat_template.jinja").unlink()
    told = told_of(LightTokenizer(folder))
    assert told.template == "{{ .Prompt }}"
    assert "no chat template" in told.remarks[0]


def test_an_end_that_is_no_token_stops_an_answer_too(tmp_path: Path) -> None:
    plain = "{% for m in messages %}### {{ m.role }}: {{ m.content }} ###END\n{% endfor %}"
    told = told_of(bundled(tmp_path / "model", plain + "{% if add_generation_prompt %}### assistant: {% endif %}"))
    assert told.stops == ("<|im_end|>", "###END")


@pytest.mark.parametrize(
    ("positions", "trained", "found"), [(1024, 256, 1024), (131072, 256, 4096), (None, 9000, 9000)]
)
def test_the_context_is_as_long_as_rows_were_and_no_longer_than_the_model(
    positions: int | None, trained: int, found: int
) -> None:
    assert context_of(positions, trained) == found
