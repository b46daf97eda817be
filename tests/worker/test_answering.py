"""Batched answers: those that each prompt would get alone, whatever stands beside it."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pegbox_worker.answering import answers
from pegbox_worker.out_of_memory import OutOfMemoryAt
from pegbox_worker.questions import Asker, Question
from tests.methods_at_work import CPU, attach, one_thread

ASKED = ("What is os.getcwd?", "Hi", "Which module has the function times, and what is it for?", "Hi", "Look up abs.")


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture
def prompts(tokenizer: Any) -> list[list[int]]:
    return [
        tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True)["input_ids"]
        for text in ASKED
    ]


def answered(model: Any, tokenizer: Any, prompts: list[list[int]], batch: int, **others: Any) -> list[list[int]]:
    asked = {"tokens": 24, "padding": tokenizer.pad_token_id, "ends": {tokenizer.eos_token_id}, "device": CPU}
    return answers(model, prompts, batch=batch, **{**asked, **others})


def test_answers_are_those_of_each_prompt_alone_in_the_order_of_the_prompts(
    model: Any, tokenizer: Any, prompts: list[list[int]]
) -> None:
    alone = [answered(model, tokenizer, [prompt], 1)[0] for prompt in prompts]
    assert len({tuple(one) for one in alone}) >= 3
    assert answered(model, tokenizer, prompts, 3) == alone
    assert answered(model, tokenizer, prompts, 99) == alone


@pytest.mark.parametrize("method", ["prompt-tuning", "prefix-tuning", "lora"])
def test_a_learned_prompt_is_not_moved_away_by_the_padding(
    method: str, tokenizer: Any, prompts: list[list[int]]
) -> None:
    tuned: Any = attach(method).model.eval()
    torch.manual_seed(1)
    for weight in tuned.parameters():
        if weight.requires_grad:
            weight.data += 0.05 * torch.randn_like(weight)
    alone = [answered(tuned, tokenizer, [prompt], 1)[0] for prompt in prompts]
    assert answered(tuned, tokenizer, prompts, 4) == alone


def test_an_answer_ends_with_its_end_and_holds_no_padding(model: Any, tokenizer: Any, prompts: list[list[int]]) -> None:
    end = tokenizer.eos_token_id
    found = answered(model, tokenizer, prompts, 5, tokens=60, padding=end)
    ended = [one for one in found if end in one]
    assert ended
    assert all(one.index(end) == len(one) - 1 for one in ended)
    assert all(len(one) == 60 for one in found if end not in one)


@pytest.mark.parametrize(
    "setting",
    [
        {"repetition_penalty": 50.0},
        {"no_repeat_ngram_size": 1},
        {"min_new_tokens": 24},
        {"num_beams": 3},
        {"suppress_tokens": list(range(100, 400))},
        {"exponential_decay_length_penalty": (1, 50.0)},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_one_question_is_answered_as_a_batch_is_whatever_the_models_own_config_says(
    setting: dict[str, Any], model: Any, tokenizer: Any, prompts: list[list[int]]
) -> None:
    asker = Asker((), tokenizer, count=1, tokens=24, length=500, ends={tokenizer.eos_token_id})
    plain = answered(model, tokenizer, prompts, 5)
    for name, value in setting.items():
        setattr(model.generation_config, name, value)
    assert answered(model, tokenizer, prompts, 5) == plain
    assert [asker.answer(model, Question("", ids, "")) for ids in prompts] == [
        text.strip() for text in tokenizer.batch_decode(plain, skip_special_tokens=True)
    ]


def test_modes_are_put_back(model: Any, tokenizer: Any, prompts: list[list[int]]) -> None:
    model.train()
    answered(model, tokenizer, prompts[:1], 1, tokens=1)
    assert model.training


class LittleMemory(torch.nn.Module):
    """Answers with the prompt's first token, and has room for so many rows."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.batches: list[int] = []

    def generate(self, *, input_ids: torch.Tensor, **_: Any) -> torch.Tensor:
        if len(input_ids) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.batches.append(len(input_ids))
        return torch.cat([input_ids, input_ids[:, -1:], input_ids.new_full((len(input_ids), 1), 9)], 1)


def test_a_batch_that_memory_does_not_suffice_for_is_halved_from_there_on() -> None:
    small, done = LittleMemory(3), list[int]()
    found = answers(
        small,
        [[number] * (1 + number) for number in range(7)],
        tokens=2,
        padding=0,
        ends={9},
        batch=8,
        device=CPU,
        on_done=done.append,
    )
    assert found == [[number, 9] for number in range(7)]
    assert small.batches == [3, 3, 1]
    assert done == [3, 6, 7]


def test_a_single_question_that_is_too_much_is_told_as_such() -> None:
    with pytest.raises(OutOfMemoryAt, match="answering questions"):
        answers(LittleMemory(0), [[1, 2]], tokens=2, padding=0, ends={9}, batch=4, device=CPU)


def test_other_failures_are_no_lack_of_memory() -> None:
    broken = LittleMemory(9)
    broken.generate = SimpleNamespace  # type: ignore[assignment]
    with pytest.raises(TypeError):
        answers(broken, [[1], [2]], tokens=2, padding=0, ends={9}, batch=4, device=CPU)
