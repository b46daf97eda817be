"""Answering: each lane's tokens are told as they come, and stop where the asker wants no more of them."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from transformers import StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from pegbox_methods.events import Answered, Event, Spoken
from pegbox_methods.refusal import Refusal
from pegbox_runs.chatting.records import JOB, Ask, EndOfAnswer, Rendered, Sampling, Told
from pegbox_worker.chat.pieces import Pieces
from pegbox_worker.chat.prompts import Prompt, prompt_of
from pegbox_worker.chat.turn_taking import TurnTaking
from pegbox_worker.chat.voices import Voice
from pegbox_worker.failure import explain
from pegbox_worker.memory import free_unused
from pegbox_worker.precision import computing_in
from pegbox_worker.questions import greedily


class Speaking:
    """Answers one question at a time, in threads, so that an interruption is heard meanwhile."""

    def __init__(self, voices: Mapping[str, Voice], tell: Callable[[Event], None]) -> None:
        self._voices = voices
        self._tell = tell
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def ask(self, ask: Ask) -> None:
        """Show each lane its prompt, and let them begin; who still speaks is interrupted, unless only the prompts are
        wanted.
        """
        if not ask.answering:
            self._show(ask)
            return
        self.interrupt()
        for thread in self._threads:
            thread.join()
        self._threads = []
        self._stop = threading.Event()
        prompts = self._show(ask)
        if not prompts:
            return
        turns = TurnTaking(tuple(prompts), ask.sampling.seed)
        for lane, prompt in prompts.items():
            said = _Answer(self._voices[lane], ask.turn, prompt, ask.sampling, turns, self._stop, self._tell)
            self._threads.append(threading.Thread(target=said.give, daemon=True))
        for thread in self._threads:
            thread.start()

    def interrupt(self) -> None:
        """Stop whoever speaks, at the next token."""
        self._stop.set()

    def _show(self, ask: Ask) -> dict[str, Prompt]:
        """Tell what each lane is shown. Returns: the prompts, by lane; a lane that there is none for has failed."""
        prompts: dict[str, Prompt] = {}
        for asked in ask.asked:
            try:
                prompt = prompt_of(self._voices[asked.lane], asked, ask.sampling.tokens)
            except Exception as error:  # noqa: BLE001  # a foreign tokenizer may raise anything, and the others go on
                if not isinstance(error, Refusal):
                    traceback.print_exc()
                why = explain(error, "asking").what
                self._tell(Spoken(lane=asked.lane, turn=ask.turn, end="failed", why=why))
                continue
            prompts[asked.lane] = prompt
            self._tell(told(_rendered(asked.lane, ask.turn, prompt, self._voices[asked.lane])))
        return prompts


def told(what: Told) -> Answered:
    """Wrap what a chat tells of itself."""
    return Answered(job=JOB, answer=msgspec.Raw(msgspec.json.encode(what)))


def _rendered(lane: str, turn: int, prompt: Prompt, voice: Voice) -> Rendered:
    return Rendered(
        lane=lane,
        turn=turn,
        prompt=prompt.text.encode(),
        ids=tuple(prompt.ids),
        dropped=prompt.dropped,
        room=prompt.room,
        context=voice.context,
    )


@dataclass(frozen=True)
class _Answer:
    """One lane's answer to one question."""

    voice: Voice
    turn: int
    prompt: Prompt
    sampling: Sampling
    turns: TurnTaking
    stop: threading.Event
    tell: Callable[[Event], None]

    def give(self) -> None:
        """Answer to the end, whatever that is; it is told in any case."""
        lane = self.voice.lane
        self.turns.wait(lane)
        pieces = Pieces(self.voice.tokenizer, self.voice.ends)
        try:
            self._generate(pieces)
            end: EndOfAnswer = "complete" if pieces.ended else "interrupted" if self.stop.is_set() else "length"
            self._say(pieces, pieces.rest(), end)
        except Exception as error:  # noqa: BLE001  # one lane's failure isn't another's
            traceback.print_exc()
            self._say(pieces, pieces.rest(), "failed", explain(error, "answering").what)
            free_unused()
        finally:
            self.turns.leave(lane)

    def _generate(self, pieces: Pieces) -> None:
        device = next(self.voice.model.parameters()).device
        ids = torch.tensor([self.prompt.ids], device=device)
        most = self.sampling.tokens if self.prompt.room is None else min(self.sampling.tokens, self.prompt.room)
        greedy = greedily(tokens=most, padding=self.voice.tokenizer.pad_token_id, ends=self.voice.ends)
        with torch.no_grad(), computing_in(self.voice.compute, device):
            self.voice.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                streamer=_Streamer(lambda token: self._heard(pieces, token)),
                stopping_criteria=StoppingCriteriaList([_Interrupted(self.stop)]),
                **{**greedy, **_drawing(self.sampling)},
            )

    def _heard(self, pieces: Pieces, token: int) -> None:
        """Tell a token, and let the others compute one."""
        text = pieces.add(token)
        if text:
            self._say(pieces, text)
        self.turns.pass_on(self.voice.lane)

    def _say(self, pieces: Pieces, text: str, end: EndOfAnswer = "", why: str = "") -> None:
        self.tell(
            Spoken(
                lane=self.voice.lane,
                turn=self.turn,
                text=text,
                tokens=len(pieces),
                seconds=self.turns.seconds(self.voice.lane),
                end=end,
                why=why,
            )
        )


def _drawing(sampling: Sampling) -> dict[str, Any]:
    """Say in transformers' words how the next token is drawn, if it is."""
    if sampling.temperature == 0:
        return {}
    return {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}


class _Streamer(BaseStreamer):
    """Hands each new token over; the first thing that transformers gives is the prompt."""

    def __init__(self, take: Callable[[int], None]) -> None:
        self._take = take
        self._begun = False

    def put(self, value: torch.Tensor) -> None:
        """Take the prompt, or a token."""
        if not self._begun:
            self._begun = True
            return
        for token in value.flatten().tolist():
            self._take(token)

    def end(self) -> None:
        """Nothing is held here."""


class _Interrupted(StoppingCriteria):
    """Ends an answer that nobody wants any more."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def __call__(self, input_ids: torch.Tensor, _scores: Any, **_: Any) -> torch.Tensor:
        """Tell of each row whether it is at its end."""
        return torch.full((len(input_ids),), self._stop.is_set(), dtype=torch.bool, device=input_ids.device)
