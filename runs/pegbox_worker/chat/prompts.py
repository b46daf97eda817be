"""What a voice is shown: its history rendered as in training, and cut where the model has no more room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pegbox_methods.refusal import Refusal
from pegbox_runs.chatting.records import Asked
from pegbox_runs.rows.chat_template import NoTemplate
from pegbox_runs.rows.example import Message
from pegbox_runs.rows.masking import RENDERING_SECONDS, rendering_limit
from pegbox_worker.chat.voices import Voice

ANSWER_SHARE = 4
"""Of the context a fourth at most is kept free for an answer: a longer one may end before its time."""


class Prompt(NamedTuple):
    """A question as the model sees it."""

    text: str
    ids: list[int]
    dropped: int
    """So many exchanges, the oldest ones, were left out."""
    room: int | None
    """Tokens that an answer may have at most; None: there is no bound."""


def prompt_of(voice: Voice, asked: Asked, tokens: int) -> Prompt:
    """Render a question with its history. Where that leaves less than `tokens` tokens for an answer, or less than a
    fourth of the context, whole exchanges are left out, the oldest first; never the system's words.

    Raises: Refusal: the template fails; the question alone has no room.
    """
    wanted = 0 if voice.context is None else min(tokens, max(1, voice.context // ANSWER_SHARE))
    messages, dropped = asked.messages, 0
    while True:
        text = _rendered(voice, messages) if asked.templated else messages[-1].content
        ids = _encoded(voice, text, templated=asked.templated)
        if voice.context is None:
            return Prompt(text, ids, dropped, None)
        if len(ids) + wanted <= voice.context:
            return Prompt(text, ids, dropped, voice.context - len(ids))
        fewer = without_oldest(messages) if asked.templated else messages
        if len(fewer) == len(messages):
            break
        messages, dropped = fewer, dropped + 1
    if len(ids) >= voice.context:
        raise Refusal(
            f"The question takes {len(ids):,} tokens, and the model has room for {voice.context:,}, the answer "
            "included. Ask for less at once."
        )
    return Prompt(text, ids, dropped, voice.context - len(ids))


def without_oldest(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Leave out the first exchange: a question and all up to the next one. The last question always stays."""
    asked = [place for place, message in enumerate(messages) if message.role == "user"]
    if len(asked) < 2:
        return tuple(messages)
    return (*messages[: asked[0]], *messages[asked[1] :])


def _rendered(voice: Voice, messages: Sequence[Message]) -> str:
    if voice.rows.template is None:
        raise NoTemplate("the tokenizer has no chat template")
    with rendering_limit(RENDERING_SECONDS):
        return voice.rows.template.render(messages, prompting=True).text


def _encoded(voice: Voice, text: str, *, templated: bool) -> list[int]:
    """Tokenize. Some tokenizers end plain text with an end token: behind it there would be nothing to go on with."""
    ids = voice.rows.encode([text], templated=templated)[0].ids
    if not templated and ids and ids[-1] in voice.ends and not text.endswith(voice.tokenizer.decode([ids[-1]])):
        ids = ids[:-1]
    if not ids:
        raise Refusal("The prompt is empty, and this model begins with no token of its own. Type something.")
    return ids
