"""What is learned, token for token, against the template's own marks and TRL's own paths."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from pegbox_methods.refusal import Refusal
from pegbox_runs.models import BUNDLED
from pegbox_runs.rows.example import Completion, Conversation, Example, Message, PlainText
from pegbox_runs.rows.masking import IGNORED
from pegbox_worker.tokens import question_of, tokenize
from tests.example_rows import examples_of

CHAT = Conversation(
    (
        Message("system", "Be brief."),
        Message("user", "What is a list?"),
        Message("assistant", "A mutable sequence."),
        Message("user", "And a tuple?"),
        Message("assistant", "An immutable one."),
    )
)


def learned(tokenizer: Any, example: Example, length: int = 1024) -> str:
    rows = tokenize([example], tokenizer, length)
    return str(tokenizer.decode([label for label in rows.labels[0] if label != IGNORED]))


def test_every_answer_and_its_end_token_are_learned_and_nothing_else(tokenizer: Any) -> None:
    assert learned(tokenizer, CHAT) == "A mutable sequence.<|im_end|>An immutable one.<|im_end|>"


def test_masks_equal_the_templates_own_generation_marks(tokenizer: Any) -> None:
    examples = examples_of(BUNDLED / "rows.jsonl")
    examples = [CHAT, *examples]
    ours = tokenize(examples, tokenizer, 1024)
    for example, ids, labels in zip(examples, ours.input_ids, ours.labels, strict=True):
        assert isinstance(example, Conversation)
        theirs = tokenizer.apply_chat_template(
            [{"role": m.role, "content": m.content} for m in example.messages],
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
        assert theirs["input_ids"] == ids
        assert [label != IGNORED for label in labels] == [bool(m) for m in theirs["assistant_masks"]]


def test_masks_equal_trls_assistant_only_path(tokenizer: Any, model: Any, tmp_path: Path) -> None:
    examples = examples_of(BUNDLED / "rows.jsonl", limit=20)
    rows = [{"messages": [{"role": m.role, "content": m.content} for m in e.messages]} for e in [CHAT, *examples]]  # type: ignore[union-attr]
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(tmp_path),
            use_cpu=True,
            bf16=False,
            assistant_only_loss=True,
            report_to=[],
            activation_checkpointing=False,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    ours = tokenize([CHAT, *examples], tokenizer, 1024)
    assert [list(ids) for ids in trainer.train_dataset["input_ids"]] == ours.input_ids
    assert [list(labels) for labels in trainer.train_dataset["labels"]] == ours.labels


def test_a_plain_completion_is_learned_with_an_end_token(tokenizer: Any) -> None:
    assert learned(tokenizer, Completion("Question: why? Answer:", " because")) == " because<|im_end|>"


def test_of_a_plain_text_all_but_the_first_token_is_learned(tokenizer: Any) -> None:
    rows = tokenize([PlainText("Return the sum.")], tokenizer, 64)
    assert rows.labels[0][0] == IGNORED
    assert rows.labels[0][1:] == rows.input_ids[0][1:]
    assert rows.input_ids[0][-1] == tokenizer.eos_token_id


def test_templated_and_plain_rows_may_stand_side_by_side_in_order(tokenizer: Any) -> None:
    mixed: list[Example] = [CHAT, PlainText("a b c"), Completion("a", "b"), CHAT]
    together = tokenize(mixed, tokenizer, 1024)
    alone = [tokenize([example], tokenizer, 1024).input_ids[0] for example in mixed]
    assert together.input_ids == alone


def test_what_the_length_limit_costs_is_counted(tokenizer: Any) -> None:
    whole = tokenize([CHAT], tokenizer, 1024)
    cut = tokenize([CHAT], tokenizer, len(whole.input_ids[0]) - 5)
    assert (cut.facts.truncated, cut.facts.dropped) == (1, 0)
    assert cut.facts.tokens_lost == whole.facts.tokens_trained - cut.facts.tokens_trained > 0
    assert whole.facts.truncated == whole.facts.tokens_lost == whole.facts.without_end == 0
    nothing = tokenize([CHAT], tokenizer, 8)
    assert (nothing.facts.dropped, nothing.input_ids) == (1, [])


def test_an_answer_cut_before_its_end_is_counted_as_without_end(tokenizer: Any) -> None:
    rows = tokenize([Completion("a", " b c d e f g h")], tokenizer, 8)
    assert rows.facts.without_end == 1


def test_a_template_that_refuses_a_role_is_told(tokenizer: Any) -> None:
    strict = copy.deepcopy(tokenizer)
    strict.chat_template = "{{ raise_exception('no system role here') }}"
    with pytest.raises(Refusal, match=r"refuses the roles system, user.*no system role here"):
        tokenize([CHAT], strict, 64)


def test_a_template_that_rewrites_earlier_turns_is_told(tokenizer: Any) -> None:
    forgetful = copy.deepcopy(tokenizer)
    forgetful.chat_template = (
        "{% for m in messages %}{{ m.role }}: {{ m.content if loop.last else '...' }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    with pytest.raises(Refusal, match=r"leaves turn 3 out, or changes it"):
        tokenize([CHAT], forgetful, 64)


@pytest.mark.parametrize(
    "template",
    [
        # No generation marks, an end token only between turns: the usual public shapes.
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        "{% for m in messages %}{% if m.role == 'assistant' %} {{ m.content }}<|im_end|>{% else %}[{{ m.content }}]"
        "{% endif %}{% endfor %}",
    ],
)
def test_of_templates_without_marks_the_same_is_learned_and_the_turns_last_line_break(
    tokenizer: Any, template: str
) -> None:
    plain = copy.deepcopy(tokenizer)
    plain.chat_template = template
    said = learned(plain, CHAT).replace(" A mut", "A mut").replace(" An", "An")
    assert said.replace("<|im_end|>\n", "<|im_end|>") == "A mutable sequence.<|im_end|>An immutable one.<|im_end|>"


def test_the_question_of_a_row_ends_where_the_answer_begins(tokenizer: Any) -> None:
    found = question_of(CHAT, tokenizer)
    assert found is not None
    question, prompt, expected = found
    assert (question, expected) == ("And a tuple?", "An immutable one.")
    assert prompt.endswith("<|im_start|>assistant\n")
    assert question_of(PlainText("x"), tokenizer) is None


DEFAULT_SYSTEM = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are helpful.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.mark.parametrize("template", [None, DEFAULT_SYSTEM], ids=["plain", "with a default system prompt"])
def test_of_an_opening_answer_neither_its_header_nor_a_system_prompt_is_learned(tokenizer: Any, template: Any) -> None:
    opening = Conversation((Message("assistant", "Hello!"), *CHAT.messages[1:3]))
    chosen = copy.deepcopy(tokenizer)
    chosen.chat_template = template or tokenizer.chat_template
    said = learned(chosen, opening).replace("<|im_end|>\n", "<|im_end|>")
    assert said == "Hello!<|im_end|>A mutable sequence.<|im_end|>"


def test_white_space_whose_offsets_a_tokenizer_trims_is_learned_too(tokenizer: Any) -> None:
    trimming = copy.deepcopy(tokenizer)
    state = json.loads(trimming.backend_tokenizer.to_str())
    state["post_processor"] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    trimming._tokenizer = type(trimming.backend_tokenizer).from_str(json.dumps(state))
    code = "def f(x):\n    if x:\n        return   1"
    rows = tokenize([Completion("Write code: ", code)], trimming, 256)
    context = len(trimming("Write code:")["input_ids"])
    assert all(label != IGNORED for label in rows.labels[0][context + 1 :])


def test_an_end_token_that_the_tokenizer_adds_itself_is_learned(tokenizer: Any) -> None:
    adding = copy.deepcopy(tokenizer)
    state = json.loads(adding.backend_tokenizer.to_str())
    end = tokenizer.eos_token
    state["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": end, "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {end: {"id": end, "ids": [tokenizer.eos_token_id], "tokens": [end]}},
    }
    adding._tokenizer = type(adding.backend_tokenizer).from_str(json.dumps(state))
    rows = tokenize([PlainText("a b c")], adding, 64)
    assert rows.input_ids[0].count(tokenizer.eos_token_id) == 1
    assert rows.labels[0][-1] == tokenizer.eos_token_id
    assert rows.facts.without_end == 0


def test_an_answer_may_end_with_another_token_than_the_tokenizers_own(tokenizer: Any) -> None:
    other = copy.deepcopy(tokenizer)
    other.eos_token = "<|endoftext|>"
    ends = {tokenizer.eos_token_id}
    assert tokenize([CHAT], other, 1024).facts.without_end == 1
    assert tokenize([CHAT], other, 1024, ends).facts.without_end == 0


def test_a_template_that_leaves_out_reasoning_is_counted(tokenizer: Any) -> None:
    forgetting = copy.deepcopy(tokenizer)
    forgetting.chat_template = DEFAULT_SYSTEM.replace("{{ m.content }}", "{{ m.content.split('</think>')[-1] }}")
    thinking = Conversation((Message("user", "Why?"), Message("assistant", "<think>long</think>Because.")))
    assert tokenize([thinking], forgetting, 1024).facts.rewritten == 1
    assert tokenize([CHAT], forgetting, 1024).facts.rewritten == 0
