"""The light tokenizer finds special tokens and templates where transformers does, whatever wrote a model's folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from pegbox_runs.light_tokenizer import LightTokenizer
from pegbox_runs.models import BUNDLED
from pegbox_runs.rows.example import Completion, Conversation, Example, Message, PlainText
from pegbox_runs.rows.masking import mask_rows
from pegbox_worker.row_tokenizer import FastRowTokenizer

CONFIG, OLDER, ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"
NEW = "<|extra|>"
EXAMPLES: list[Example] = [
    PlainText(f"A list {NEW} and a tuple <|im_start|> a<|own|>b"),
    Completion("What is it? ", f"A list.{NEW} <|im_end|>"),
    Conversation((Message("user", f"A {NEW} list?"), Message("assistant", "Yes. <|own|>"))),
]
WRITES_TOKENS = "{{ bos_token }}{% for m in messages %}{{ own_token }}{{ m.content }}{{ eos_token }}{% endfor %}"


def changed(folder: Path, **values: Any) -> None:
    table = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({key: v for key, v in (table | values).items() if v is not None}))


def told_by_older(folder: Path, **values: Any) -> None:
    (folder / OLDER).write_text(json.dumps(values))


def in_older_file(folder: Path) -> None:
    changed(folder, eos_token=None)
    told_by_older(folder, eos_token="<|im_end|>")


def in_older_file_wrapped(folder: Path) -> None:
    changed(folder, eos_token=None)
    token = {"content": "<|im_end|>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    told_by_older(folder, eos_token=token, additional_special_tokens=[NEW])


def in_both_files(folder: Path) -> None:
    changed(folder, extra_special_tokens=["<|own|>"])
    told_by_older(folder, eos_token="<|endoftext|>", extra_special_tokens=[NEW])


def in_both_files_and_a_decoder(folder: Path) -> None:
    token = {"content": NEW, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    changed(folder, added_tokens_decoder={"9999": token | {"special": True}})
    told_by_older(folder, eos_token="<|endoftext|>")


def with_older_added_tokens(folder: Path) -> None:
    size = LightTokenizer(folder)._tokenizer.get_vocab_size()
    (folder / ADDED).write_text(json.dumps({NEW: size, "<|own|>": size + 1}))
    told_by_older(folder, additional_special_tokens=["<|own|>"])


def with_a_wrapped_token(folder: Path) -> None:
    changed(folder, eos_token={"__type": "AddedToken", "content": "<|im_end|>", "special": True})


def with_a_name_of_its_own(folder: Path) -> None:
    changed(folder, own_token="<|own|>")


def with_names_of_its_own(folder: Path) -> None:
    changed(folder, extra_special_tokens={"own_token": "<|own|>"})


def with_an_end_that_is_new(folder: Path) -> None:
    changed(folder, eos_token=NEW, bos_token="<|endoftext|>", add_bos_token=True)


def with_templates_by_name(folder: Path) -> None:
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tool_use.jinja").write_text("tools")


def with_a_template_in_its_config(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    changed(folder, chat_template=[{"name": "default", "template": WRITES_TOKENS}])


def with_a_processors_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    changed(folder, chat_template=WRITES_TOKENS)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": "a processor's"}))


def without_a_config(folder: Path) -> None:
    (folder / CONFIG).unlink()
    told_by_older(folder, eos_token="<|im_end|>", bos_token="<|endoftext|>")


def as_it_is(folder: Path) -> None:
    assert folder.is_dir()


@pytest.mark.parametrize(
    "change",
    [
        as_it_is,
        in_older_file,
        in_older_file_wrapped,
        in_both_files,
        in_both_files_and_a_decoder,
        with_older_added_tokens,
        with_a_wrapped_token,
        with_a_name_of_its_own,
        with_names_of_its_own,
        with_an_end_that_is_new,
        with_templates_by_name,
        with_a_template_in_its_config,
        with_a_processors_template,
        without_a_config,
    ],
)
@pytest.mark.parametrize("writes_tokens", [False, True])
def test_it_is_the_tokenizer_of_transformers(
    tmp_path: Path, change: Callable[[Path], None], writes_tokens: bool
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(BUNDLED / "model", folder, ignore=shutil.ignore_patterns("*.safetensors"))
    if writes_tokens:
        (folder / "chat_template.jinja").write_text(WRITES_TOKENS)
    change(folder)
    light, theirs = LightTokenizer(folder), AutoTokenizer.from_pretrained(folder, local_files_only=True)
    full = FastRowTokenizer(theirs)
    assert (light.end, light.special, light.special_texts) == (full.end, full.special, full.special_texts)
    assert (light.template is None) is (full.template is None)
    if light.template is not None and full.template is not None:
        assert light.template.source == full.template.source
        assert light.template.special_tokens == full.template.special_tokens
    assert list(mask_rows(EXAMPLES, light)) == list(mask_rows(EXAMPLES, full))
