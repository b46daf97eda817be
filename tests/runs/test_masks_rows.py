"""Rows as ids and labels: in order, a batch at a time, and which token belongs to whom at a seam."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pegbox_runs.light_tokenizer import LightTokenizer
from pegbox_runs.models import BUNDLED
from pegbox_runs.rows import masking
from pegbox_runs.rows.chat_template import ChatTemplate, NoTemplate
from pegbox_runs.rows.example import Completion, Conversation, Example, Message, PlainText
from pegbox_runs.rows.masking import IGNORED, mask_rows

CHAT = Conversation(
    (Message("user", "Why?"), Message("assistant", "So."), Message("user", "the list"), Message("assistant", "Yes"))
)


@pytest.fixture
def light() -> LightTokenizer:
    return LightTokenizer(BUNDLED / "model")


def learned(tokenizer: LightTokenizer, example: Example) -> list[str]:
    (row,) = mask_rows([example], tokenizer)
    return [
        row.text[begin:stop] if stop else tokenizer.show(label)
        for (begin, stop), label in zip(row.offsets, row.labels, strict=True)
        if label != IGNORED
    ]


def test_order_is_kept_over_batches_of_all_kinds(light: LightTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    mixed: list[Example] = [
        PlainText("a b"),
        CHAT,
        Completion("One", " two"),
        CHAT,
        PlainText("c"),
        PlainText("d"),
        CHAT,
    ]
    whole = list(mask_rows(mixed, light))
    monkeypatch.setattr(masking, "BATCH", 2)
    assert list(mask_rows(mixed, light)) == whole
    assert [row.text for row in whole if not row.templated] == ["a b", "One two", "c", "d"]


def test_no_more_than_a_batch_is_read_ahead(light: LightTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def endless() -> Iterator[Example]:
        while True:
            read.append(1)
            yield PlainText("a b c")

    monkeypatch.setattr(masking, "BATCH", 5)
    rows = mask_rows(endless(), light)
    for _ in range(6):
        next(rows)
    assert len(read) == 10


def test_the_first_token_is_never_learned_and_an_end_token_is(light: LightTokenizer) -> None:
    (row,) = mask_rows([PlainText("Return the sum.")], light)
    assert (row.labels[0], row.labels[1:], row.ids[-1]) == (IGNORED, row.ids[1:], light.end)
    (empty,) = mask_rows([PlainText("")], light)
    assert (empty.ids, empty.labels) == ([light.end], [IGNORED])


def test_an_answer_whose_first_token_swallows_the_prompts_last_blank_is_learned_whole(light: LightTokenizer) -> None:
    assert "".join(learned(light, Completion("Question: why? Answer: ", "because"))) == " because<|im_end|>"


def test_an_answer_that_goes_on_with_a_prompts_word_is_learned_from_the_next_token(light: LightTokenizer) -> None:
    (row,) = mask_rows([Completion("Return the su", "m of it.")], light)
    first = next(place for place, label in enumerate(row.labels) if label != IGNORED)
    assert row.offsets[first][0] >= len("Return the su")


def test_an_answer_behind_a_blank_of_its_header_is_learned_from_its_first_letter(light: LightTokenizer) -> None:
    light.template = ChatTemplate(
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}",
        {},
    )
    assert "".join(learned(light, CHAT)).split() == ["So.", "Yes"]


def test_a_token_that_begins_with_the_blank_behind_an_answer_is_the_next_turns(light: LightTokenizer) -> None:
    light.template = ChatTemplate("{% for m in messages %}{{ m.content }} {% endfor %}", {})
    assert "".join(learned(light, CHAT)).replace(" ", "") == "So.Yes"


def test_a_row_without_a_template_is_refused_and_plain_rows_are_not(light: LightTokenizer) -> None:
    light.template = None
    assert len(list(mask_rows([PlainText("a")], light))) == 1
    with pytest.raises(NoTemplate, match="no chat template"):
        list(mask_rows([CHAT], light))
