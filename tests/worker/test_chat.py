"""Several models in one process: each speaks as it does alone, and is shown what the training showed it."""

from __future__ import annotations

import dataclasses
import queue
import random
from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest
import torch
from msgspec import structs

from pegbox_methods.events import Answered, Event, Spoken
from pegbox_methods.refusal import Refusal
from pegbox_runs.chatting.records import BASE, Ask, Asked, Opened, Rendered, Sampling, Told
from pegbox_runs.rows.chat_template import ChatTemplate
from pegbox_runs.rows.example import Conversation, Message
from pegbox_worker.chat import prompts as prompts_module
from pegbox_worker.chat import speaking as speaking_module
from pegbox_worker.chat import voices as voices_module
from pegbox_worker.chat.pieces import Pieces
from pegbox_worker.chat.prompts import prompt_of, without_oldest
from pegbox_worker.chat.speaking import Speaking
from pegbox_worker.chat.voices import Choir, Voice
from pegbox_worker.precision import computing_in
from pegbox_worker.tokens import question_of
from pegbox_worker.tuned_model import load_tuned
from tests.methods_at_work import one_thread
from tests.worker.made_run import made_run

CPU = torch.device("cpu")
QUESTION = Message("user", "Which module has the function dumps?")
PATIENCE = 120
METHODS = ("lora", "dora", "ia3", "prompt-tuning", "prefix-tuning", "pissa", "ln-tuning", "trainable-tokens", "full")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


def choir(*methods: str, moved: float = 0.1, **settings: Any) -> dict[str, Voice]:
    """Load runs of these methods, by method; and the base."""
    runs = [made_run(method, moved=0.01 if method == "full" else moved, **settings) for method in methods]
    found = Choir(CPU, lambda _: None).voices(runs)
    return dict(zip((BASE, *methods), found, strict=True))


def asked(voice: Voice, *messages: Message, templated: bool = True) -> Asked:
    return Asked(lane=voice.lane, messages=messages or (QUESTION,), templated=templated)


class Room:
    """Asks voices, and hears them to the end."""

    def __init__(self, *voices: Voice) -> None:
        self.voices = voices
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.speaking = Speaking({voice.lane: voice for voice in voices}, self.events.put)

    def ask(self, **sampling: Any) -> dict[str, str]:
        """Ask all, and give what each said."""
        self.speaking.ask(self.question(**sampling))
        said = self.heard()
        return {voice.lane: "".join(one.text for one in said if one.lane == voice.lane) for voice in self.voices}

    def question(self, **sampling: Any) -> Ask:
        chosen = Sampling(**{"tokens": 24, **sampling})
        return Ask(turn=1, asked=tuple(asked(voice) for voice in self.voices), sampling=chosen)

    def heard(self) -> list[Spoken]:
        """Hear until all have ended."""
        said: list[Spoken] = []
        while sum(bool(one.end) for one in said) < len(self.voices):
            event = self.events.get(timeout=PATIENCE)
            if isinstance(event, Spoken):
                said.append(event)
        return said


def alone(voice: Voice, model: Any, tokens: int = 24) -> str:
    """Let a model answer greedily by transformers alone."""
    ids = prompt_of(voice, asked(voice), tokens).ids
    prompt = torch.tensor([ids])
    with torch.no_grad(), computing_in(voice.compute, CPU):
        output = model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=tokens,
            do_sample=False,
            pad_token_id=voice.tokenizer.pad_token_id,
            eos_token_id=sorted(voice.ends),
        )
    new = [token for token in output[0, len(ids) :].tolist() if token not in voice.ends]
    return str(voice.tokenizer.decode(new))


def test_each_run_answers_as_it_does_alone_and_the_base_as_if_there_were_none() -> None:
    runs = [made_run(method, moved=0.01 if method == "full" else 0.1) for method in METHODS]
    voices = Choir(CPU, lambda _: None).voices(runs)
    said = Room(*voices).ask()
    base = said[BASE]
    assert base == alone(voices[0], load_tuned(made_run("lora", moved=0.0), device=CPU).model)
    others = {run.recipe.method.name: said[run.id] for run in runs}
    expected = {
        run.recipe.method.name: alone(voice, load_tuned(run, device=CPU).model)
        for run, voice in zip(runs, voices[1:], strict=True)
    }
    assert others == expected
    assert sum(answer != base for answer in others.values()) >= len(METHODS) - 2


def test_all_hold_the_base_s_weights_but_those_that_change_them() -> None:
    voices = choir("lora", "ia3", "prompt-tuning", "full")
    held = {weight.data_ptr() for weight in voices[BASE].model.parameters()}
    shared = {
        name: len(held & {weight.data_ptr() for weight in voice.model.parameters()}) for name, voice in voices.items()
    }
    assert shared == {BASE: len(held), "lora": len(held), "ia3": len(held), "prompt-tuning": len(held), "full": 0}
    assert {name: voice.shares for name, voice in voices.items()} == {
        BASE: True,
        "lora": True,
        "ia3": True,
        "prompt-tuning": True,
        "full": False,
    }


def test_a_run_on_a_base_in_4_bits_has_that_base() -> None:
    voices = choir("lora", "qlora")
    assert (voices["lora"].shares, voices["qlora"].shares, voices["qlora"].packed) == (True, False, True)
    run = made_run("qlora", moved=0.1)
    (_, voice) = Choir(CPU, lambda _: None).voices([run])
    assert Room(voice).ask()[run.id] == alone(voice, load_tuned(run, device=CPU).model)


def test_a_method_that_changes_the_base_against_its_word_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices_module, "_changes_base", lambda run: False)
    with pytest.raises(Refusal, match='the method "full" says that it leaves'):
        choir("full")


def test_a_drawn_answer_is_the_same_alone_and_beside_others_and_another_with_another_seed() -> None:
    voices = choir("lora", "dora")
    together = Room(*voices.values()).ask(temperature=1.0, seed=7)
    for voice in voices.values():
        assert Room(voice).ask(temperature=1.0, seed=7)[voice.lane] == together[voice.lane]
    assert Room(voices[BASE]).ask(temperature=1.0, seed=8)[BASE] != together[BASE]


def test_an_interruption_ends_all_at_once_and_the_next_question_is_answered() -> None:
    room = Room(*choir("lora").values())
    room.speaking.ask(room.question(tokens=900))
    while not isinstance(event := room.events.get(timeout=PATIENCE), Spoken) or not event.text:
        pass
    room.speaking.interrupt()
    said = room.heard()
    assert {one.end for one in said if one.end} == {"interrupted"}
    assert max(one.tokens for one in said) < 800
    assert all(room.ask(tokens=4).values())


def test_one_lane_s_failure_is_told_and_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    voices = choir("lora")

    def out_of_memory(**_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(voices["lora"].model, "generate", out_of_memory)
    room = Room(*voices.values())
    room.speaking.ask(room.question())
    ends = {one.lane: one for one in room.heard() if one.end}
    assert ends.pop(BASE).end in {"complete", "length"}
    (failed,) = ends.values()
    assert failed.end == "failed"
    assert "memory" in failed.why


def test_a_prompt_is_what_the_training_showed_for_such_a_row(tokenizer: Any) -> None:
    voice = choir("lora")["lora"]
    row = Conversation((Message("system", "Be brief."), QUESTION, Message("assistant", "json")))
    found = question_of(row, tokenizer)
    assert found is not None
    prompt = prompt_of(voice, asked(voice, *row.messages[:2]), 16)
    assert prompt.text == found[1]
    assert prompt.ids == tokenizer(found[1], add_special_tokens=False)["input_ids"]
    plain = prompt_of(voice, asked(voice, QUESTION, templated=False), 16)
    assert (plain.text, plain.ids) == (QUESTION.content, tokenizer(QUESTION.content)["input_ids"])


def test_where_the_context_is_full_the_oldest_exchanges_are_left_out_and_counted() -> None:
    voice = choir("lora")[BASE]
    exchanges = [Message(role, f"{number} " + "words " * 40) for number in range(12) for role in ("user", "assistant")]
    history = (Message("system", "Be brief."), *exchanges, QUESTION)
    prompt = prompt_of(voice, asked(voice, *history), 200)
    assert prompt.dropped > 0
    assert prompt.room is not None
    assert len(prompt.ids) + prompt.room == voice.context
    assert prompt.room >= 200
    assert "Be brief." in prompt.text
    assert QUESTION.content in prompt.text
    assert f"user\n{prompt.dropped} words" in prompt.text
    assert f"user\n{prompt.dropped - 1} words" not in prompt.text
    with pytest.raises(Refusal, match=r"The question takes .* room for 1,024"):
        prompt_of(voice, asked(voice, Message("user", "words " * 2000)), 200)
    nearly = prompt_of(voice, asked(voice, Message("user", "words " * 900)), 200)
    assert nearly.room == cast(int, voice.context) - len(nearly.ids)


def test_learned_tokens_before_a_prompt_take_room() -> None:
    voices = choir("prompt-tuning")
    context = cast(int, voices[BASE].context)
    learned = voices["prompt-tuning"].model.active_peft_config.num_virtual_tokens
    assert voices["prompt-tuning"].context == context - learned


def test_the_last_question_is_never_left_out() -> None:
    assert without_oldest([QUESTION]) == (QUESTION,)
    system = Message("system", "s")
    first = (Message("user", "1"), Message("assistant", "a"))
    assert without_oldest([system, *first, QUESTION]) == (system, QUESTION)


@pytest.mark.parametrize("seed", range(20))
def test_pieces_together_are_the_text_and_each_is_whole(seed: int, tokenizer: Any) -> None:
    draw = random.Random(seed)  # noqa: S311  # repeatable, not secret
    letters = "añ漢字🎻🪕\u0301\u200d\x1b\x00 \n<|im_start|>"
    text = "".join(draw.choice(letters) for _ in range(60))
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    pieces = Pieces(tokenizer, {tokenizer.eos_token_id})
    parts = [pieces.add(token) for token in ids]
    assert "".join([*parts, pieces.rest()]) == tokenizer.decode(ids) == text
    assert not any("\ufffd" in part for part in parts)


def test_bytes_that_never_become_a_character_are_told_all_the_same(tokenizer: Any) -> None:
    broken = tokenizer("🎻", add_special_tokens=False)["input_ids"][:-1]
    pieces = Pieces(tokenizer, {tokenizer.eos_token_id})
    parts = [pieces.add(token) for token in broken * 6]
    assert "\ufffd" in "".join([*parts, pieces.rest()])
    assert pieces.add(tokenizer.eos_token_id) == ""
    assert pieces.ended
    assert len(pieces) == 6 * len(broken) + 1


def test_the_prompt_is_told_before_the_answer_and_alone_where_no_answer_is_wanted() -> None:
    room = Room(choir("lora")[BASE])
    room.speaking.ask(structs.replace(room.question(), answering=False))
    event = room.events.get(timeout=PATIENCE)
    assert isinstance(event, Answered)
    told: Opened | Rendered = msgspec.json.decode(event.answer, type=Told)
    assert isinstance(told, Rendered)
    assert told.text.endswith("<|im_start|>assistant\n")
    assert room.events.empty()


def test_showing_a_prompt_lets_the_answers_go_on() -> None:
    room = Room(*choir("lora").values())
    room.speaking.ask(room.question(tokens=900))
    room.speaking.ask(structs.replace(room.question(), turn=0, answering=False))
    shown, more, ends = 0, 0, set()
    while more < 5:
        event = room.events.get(timeout=PATIENCE)
        if isinstance(event, Answered):
            told: Opened | Rendered = msgspec.json.decode(event.answer, type=Told)
            shown += isinstance(told, Rendered) and told.turn == 0
        elif isinstance(event, Spoken):
            ends.add(event.end)
            more += shown == len(room.voices)
    assert ends == {""}
    room.speaking.interrupt()
    assert {one.end for one in room.heard() if one.end} == {"interrupted"}


@pytest.mark.parametrize(("precision", "expected"), [("bfloat16", (True, torch.bfloat16)), ("float32", (False, None))])
def test_a_lane_computes_in_the_number_format_that_its_run_trained_in(
    precision: Any, expected: tuple[bool, torch.dtype | None]
) -> None:
    run = made_run("lora")
    training = structs.replace(run.recipe.training, precision=precision)
    run = dataclasses.replace(run, recipe=structs.replace(run.recipe, training=training))
    seen: set[tuple[bool, torch.dtype | None]] = set()

    def look(*_: object) -> None:
        under = torch.is_autocast_enabled("cpu")
        seen.add((under, torch.get_autocast_dtype("cpu") if under else None))

    voices = Choir(CPU, lambda _: None).voices([run])
    for voice in voices:
        voice.model.register_forward_pre_hook(look)
    Room(*voices).ask(tokens=2)
    assert seen == {expected}


def test_what_a_model_s_generation_config_says_changes_no_answer() -> None:
    base = choir("lora")[BASE]
    plain = Room(base).ask(tokens=4)[BASE]
    first = base.tokenizer(plain, add_special_tokens=False)["input_ids"][0]
    base.model.generation_config.suppress_tokens = [first]
    assert Room(base).ask(tokens=4)[BASE] == plain


def test_a_prompt_that_can_not_be_made_fails_one_lane_and_the_others_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    voices = choir("lora")

    def made(voice: Voice, *arguments: Any) -> Any:
        if voice is voices["lora"]:
            raise ValueError("Already borrowed")
        return prompt_of(voice, *arguments)

    monkeypatch.setattr(speaking_module, "prompt_of", made)
    room = Room(*voices.values())
    room.speaking.ask(room.question(tokens=4))
    ends = {one.lane: one for one in room.heard() if one.end}
    assert ends.pop(BASE).end in {"complete", "length"}
    (failed,) = ends.values()
    assert (failed.end, failed.why) == ("failed", "ValueError: Already borrowed")


def test_a_template_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts_module, "RENDERING_SECONDS", 0.2)
    voice = choir("lora")[BASE]
    endless = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    voice.rows.template = ChatTemplate(endless, {})
    with pytest.raises(Refusal, match=r"takes more than 0\.2 s"):
        prompt_of(voice, asked(voice), 4)
