"""A chat from the asker's side, with made-up models: what each is told, and what stays when they die."""

from __future__ import annotations

from pathlib import Path

import pytest

from pegbox_runs.chatting.as_trained import AsTrained
from pegbox_runs.chatting.records import BASE, Interrupt, Opened, Sampling
from pegbox_runs.chatting.talk import Lost, Talk, start_worker
from pegbox_runs.chatting.words import figures, opening, room
from tests.pretended_chat import DORA, LORA, PretendedModels, speaker, talk_of


@pytest.fixture
def models() -> PretendedModels:
    return PretendedModels()


def said_to(models: PretendedModels, lane: str) -> list[tuple[str, str]]:
    """Give what a lane was shown at last: roles and words."""
    (asked,) = (asked for asked in models.asked.asked if asked.lane == lane)
    return [(message.role, message.content) for message in asked.messages]


def answer(talk: Talk, models: PretendedModels, turn: int, **said: str) -> None:
    for lane, text in said.items():
        models.speaks({"base": BASE, "lora": LORA, "dora": DORA}[lane], turn, text)
    talk.hear()


def test_each_lane_is_shown_what_it_said_itself(models: PretendedModels) -> None:
    talk = talk_of(models)
    talk.ask("One?", talk.lanes)
    answer(talk, models, 1, base="B1", lora="L1")
    talk.ask("Two?", talk.lanes)
    asked = ("user", "Two?")
    assert said_to(models, BASE) == [("user", "One?"), ("assistant", "B1"), asked]
    assert said_to(models, LORA) == [("user", "One?"), ("assistant", "L1"), asked]


def test_a_lane_that_was_not_asked_knows_nothing_of_it_and_that_is_told(models: PretendedModels) -> None:
    talk = talk_of(models)
    talk.ask("One?", [LORA])
    answer(talk, models, 1, lora="L1")
    turn = talk.ask("Two?", talk.lanes)
    models.shows(BASE, 2, "Two?")
    models.shows(LORA, 2, "all")
    answer(talk, models, 2, base="B2", lora="L2")
    assert said_to(models, BASE) == [("user", "Two?")]
    assert list(room(talk, turn.answers[BASE])) == ["1 question before went to others alone, and isn't known here"]
    assert list(room(talk, turn.answers[LORA])) == []


def test_an_answer_that_failed_is_no_part_of_the_history_and_one_that_was_interrupted_is(
    models: PretendedModels,
) -> None:
    talk = talk_of(models)
    talk.ask("One?", [LORA])
    models.speaks(LORA, 1, "", end="failed", why="no memory")
    talk.hear()
    talk.ask("Two?", [LORA])
    models.speaks(LORA, 2, "half an", end="interrupted")
    talk.hear()
    talk.ask("Three?", [LORA])
    assert said_to(models, LORA) == [("user", "Two?"), ("assistant", "half an"), ("user", "Three?")]


def test_a_question_to_a_model_that_still_speaks_goes_with_what_it_said_so_far(models: PretendedModels) -> None:
    talk = talk_of(models)
    talk.ask("One?", talk.lanes)
    models.speaks(LORA, 1, "half an", end="")
    talk.hear()
    talk.ask("Two?", talk.lanes)
    assert isinstance(models.told[-2], Interrupt)
    assert said_to(models, LORA) == [("user", "One?"), ("assistant", "half an"), ("user", "Two?")]
    assert said_to(models, BASE) == [("user", "Two?")]  # it hadn't said a word


def test_pieces_become_an_answer_and_late_ones_of_a_forgotten_question_are_left_out(models: PretendedModels) -> None:
    talk = talk_of(models)
    turn = talk.ask("One?", [LORA])
    models.speaks(LORA, 1, "a ", tokens=1, end="")
    models.speaks(LORA, 1, "b", tokens=2, end="")
    talk.hear()
    assert (turn.answers[LORA].text, turn.answers[LORA].tokens, talk.answering) == ("a b", 2, True)
    talk.forget()
    assert isinstance(models.told[-1], Interrupt)
    models.speaks(LORA, 1, " late")
    assert talk.hear() == []
    talk.ask("Again?", [LORA])
    assert models.asked.turn == 2
    assert said_to(models, LORA) == [("user", "Again?")]


def test_what_was_said_outlives_the_worker_and_the_next_question_loads_the_models_again(
    models: PretendedModels,
) -> None:
    talk = talk_of(models)
    talk.ask("One?", [LORA])
    answer(talk, models, 1, lora="L1")
    turn = talk.ask("Two?", talk.lanes)
    models.speaks(LORA, 2, "last", tokens=1, end="")
    models.dead = "the worker of the job chat was ended by SIGKILL"
    heard = talk.hear()
    assert heard[-1] == Lost(models.dead, "last words")
    assert turn.answers[LORA].text == "last"
    assert {one.why for one in turn.answers.values()} == {models.dead}
    assert not talk.answering
    talk.ask("Three?", [LORA])
    assert len(models.orders) == 2
    assert said_to(models, LORA) == [("user", "One?"), ("assistant", "L1"), ("user", "Three?")]
    talk.close()
    assert models.closed == 2


def test_the_system_says_what_the_training_said_unless_told_otherwise(models: PretendedModels) -> None:
    trained = speaker(trained=AsTrained(templated=True, system="Be brief."))
    talk = talk_of(models, trained)
    talk.ask("One?", talk.lanes)
    assert said_to(models, BASE)[0] == said_to(models, LORA)[0] == ("system", "Be brief.")
    assert any("Be brief." in note for note in opening(talk))
    for system, first in (("Rhyme.", ("system", "Rhyme.")), ("", ("user", "One?"))):
        talk = talk_of(models, trained, system=system)
        talk.ask("One?", [LORA])
        assert said_to(models, LORA)[0] == first


def test_a_run_of_plain_text_is_shown_what_is_typed_and_nothing_else(models: PretendedModels) -> None:
    plain = speaker(trained=AsTrained(templated=False, system=""))
    talk = talk_of(models, plain, speaker(DORA, "dora"), system="Be brief.")
    talk.ask("Once upon", talk.lanes)
    asked = {one.lane: one for one in models.asked.asked}
    assert [asked[lane].templated for lane in (BASE, LORA, DORA)] == [False, False, True]
    assert said_to(models, LORA) == [("user", "Once upon")]
    assert said_to(models, DORA)[0] == ("system", "Be brief.")
    notes = list(opening(talk))
    assert any("as it stands" in note and LORA in note for note in notes)
    assert notes[-1].startswith("The runs were trained with different prompts")


def test_what_is_dropped_and_how_full_the_context_is_is_told(models: PretendedModels) -> None:
    talk = talk_of(models)
    turn = talk.ask("One?", [LORA])
    models.shows(LORA, 1, "p", tokens=900, dropped=3)
    models.speaks(LORA, 1, "x" * 10, tokens=124, end="length")
    talk.hear()
    notes = list(room(talk, turn.answers[LORA]))
    assert notes[0] == "the oldest 3 exchanges were left out: the context has room for 1,024 tokens"
    assert notes[1] == "100 % of the context of 1,024 tokens is used"
    assert notes[2] == "the prompt has 900 tokens, and the training knew no row above 256"
    assert figures(turn.answers[LORA]) == "124 tokens, 10 tokens/s, cut: the context is full"


def test_a_prompt_is_shown_to_the_letter_though_it_looks_like_a_secret(models: PretendedModels) -> None:
    talk = talk_of(models)
    turn = talk.ask("x", [LORA])
    secret = f"hf_{'a' * 34} {Path.home()}/x \x1b é\u202e"
    models.shows(LORA, 1, secret)
    talk.hear()
    shown = turn.answers[LORA].rendered
    assert shown is not None
    assert shown.text == secret


def test_half_a_character_is_replaced_before_it_is_sent(models: PretendedModels) -> None:
    talk = talk_of(models)
    talk.ask("a\udce9b", [LORA])
    assert said_to(models, LORA) == [("user", "a?b")]


def test_progress_and_the_opening_are_heard(models: PretendedModels) -> None:
    talk = talk_of(models, sampling=Sampling(temperature=0.7))
    talk.open()
    models.loads("loading the base model")
    talk.hear()
    assert talk.progress is not None
    models.opens(talk)
    assert isinstance(talk.hear()[-1], Opened)
    assert talk.progress is None
    assert next(opening(talk)).startswith("Answers are temperature 0.7, top-p 1, seed 0")


def test_a_worker_that_can_not_load_the_runs_is_one_sentence(tmp_path: Path) -> None:
    gone = speaker()
    talk = Talk((gone,), sampling=Sampling(), start=start_worker)
    try:
        talk.open()
        heard: list[object] = []
        while not any(isinstance(one, Lost) for one in heard):
            heard += talk.hear()
        lost = heard[-1]
        assert isinstance(lost, Lost)
        assert "no run" in lost.why
    finally:
        talk.close()
