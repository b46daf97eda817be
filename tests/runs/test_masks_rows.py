"""Rows as ids and labels: in order, a batch at a time, and which token belongs to whom at a seam."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence

import pytest

from pegbox_runs.light_tokenizer import LightTokenizer
from pegbox_runs.models import BUNDLED
from pegbox_runs.rows import masking
from pegbox_runs.rows.chat_template import ChatTemplate, NoTemplate, RowRefusal
from pegbox_runs.rows.example import Completion, Conversation, Example, Message, PlainText
from pegbox_runs.rows.masking import IGNORED, mask_rows
from pegbox_runs.rows.row_tokenizer import Encoded

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


def test_long_rows_are_tokenized_a_few_at_a_time(light: LightTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    class Counting(LightTokenizer):
        def encode(self, texts: Sequence[str], *, templated: bool) -> list[Encoded]:
            sizes.append([len(text) for text in texts])
            return super().encode(texts, templated=templated)

    monkeypatch.setattr(masking, "BATCH_LETTERS", 1000)
    rows: list[Example] = [PlainText("a b " * (number % 60)) for number in range(200)]
    tokenizer = Counting(BUNDLED / "model")
    assert list(mask_rows(rows, tokenizer)) == list(mask_rows(rows, light))
    assert all(sum(batch[:-1]) < 1000 for batch in sizes)
    assert all(sum(batch) >= 1000 for batch in sizes[:-1])


def test_the_tokens_of_a_batch_are_gone_before_the_next_is_made(
    light: LightTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masking, "BATCH_LETTERS", 20_000)
    text = PlainText("some words of a long text " * 800)

    def most_held(rows: int) -> int:
        tracemalloc.start()
        for row in mask_rows((text for _ in range(rows)), light):
            assert row.ids
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert most_held(12) < 1.5 * most_held(2)


@pytest.mark.parametrize(
    ("source", "kind", "said"),
    [
        ("{{ raise_exception('bad') if messages[0].content == 'odd' }}{{ messages[1].content }}", NoTemplate, "bad"),
        ("{% if messages[0].content != 'odd' %}{{ messages[1].content }}{% endif %}", RowRefusal, "leaves turn 2 out"),
    ],
)
def test_a_row_that_a_template_refuses_is_told_by_its_number(
    light: LightTokenizer, monkeypatch: pytest.MonkeyPatch, source: str, kind: type[RowRefusal], said: str
) -> None:
    light.template = ChatTemplate(source, {})
    monkeypatch.setattr(masking, "BATCH", 4)
    good, odd = (Conversation((Message("user", asked), Message("assistant", "Yes"))) for asked in ("q", "odd"))
    rows = mask_rows([good, PlainText("a"), good, PlainText("b"), PlainText("c"), good, odd, good], light)
    for _ in range(4):
        next(rows)
    with pytest.raises(kind, match=said) as refused:
        next(rows)
    assert refused.value.row == 6


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
