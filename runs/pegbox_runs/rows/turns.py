"""Where each assistant's turn lies in a rendered conversation, for templates that don't mark it.

A conversation is rendered a second time with stand-ins in place of all that people wrote. What is left between them is
the template's own text, so that nothing in a row can pass for a turn's header. Rows of the same build share that second
rendering.
"""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from pegbox_runs.rows.chat_template import ChatTemplate, NoTemplate, Spans
from pegbox_runs.rows.example import Conversation, Message
from pegbox_runs.rows.turn_ends import (
    KnownPlaces,
    Spoken,
    alike_from_start,
    behind_header,
    through_close,
    without_thought,
)
from pegbox_runs.rows.turn_layout import Hole, Layout, Point, fitted, owners_of

KEPT_LAYOUTS = 200
"""A layout holds the row's tools and the arguments of its calls."""
_ONCE = str(secrets.randbelow(10**12))
"""Drawn anew in each process, so that no row can hold a stand-in."""
_STAND_IN = re.compile(f"\uf8f0{_ONCE}-([0-9]+)\uf8f1")
_TAG = re.compile(r"</?[A-Za-z_]+>")
"""Words such as <think> at which some templates part a content."""


class Untellable(Exception):
    """It can't be told where a turn lies; `number` counts it from 1."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Turns(NamedTuple):
    """A rendered conversation."""

    text: str
    answers: Spans
    """One span for each assistant's turn, in order: behind its header, up to where the next turn begins."""


class TurnFinder:
    """Finds the answers of conversations that one template writes."""

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template
        self._layouts: OrderedDict[Conversation, Layout] = OrderedDict()
        self._tags = frozenset(_TAG.findall(template.source))
        self._begins, self._ends = KnownPlaces(), KnownPlaces()
        self._header: str | None = None

    def find(self, conversation: Conversation, text: str) -> Turns:
        """Find each answer in the rendered `text`.

        Raises: NoTemplate: the template refuses the turns. Untellable.
        """
        for sharing in (False, True):
            spans = self._spans(*self._skeleton(conversation, sharing=sharing), text)
            if spans is not None:
                return Turns(text, spans)
        return Turns(text, tuple(self._one_by_one(conversation, text)))

    def _spans(self, holes: Sequence[Hole], skeleton: Conversation, text: str) -> Spans | None:
        layout = self._layouts.get(skeleton)
        places = None if layout is None else fitted(layout, holes, text)
        if layout is None or places is None:  # the day may have changed since, which some templates write
            layout = self._layouts[skeleton] = self._layout(skeleton, holes)
            if len(self._layouts) > KEPT_LAYOUTS:
                self._layouts.popitem(last=False)
            places = fitted(layout, holes, text)
        if places is None:
            return None
        return tuple((places[a.literal] + a.offset, places[b.literal] + b.offset) for a, b in layout.answers)

    def _skeleton(self, conversation: Conversation, *, sharing: bool) -> tuple[list[Hole], Conversation]:
        """Put a stand-in for each passage; a blank one stays where templates ask whether there is any text.

        `sharing`: equal questions get the same stand-ins, as Mistral's template compares them with the last one.
        """
        holes: list[Hole] = []
        messages: list[Message] = []
        asked: dict[str, tuple[Message, list[Hole]]] = {}
        for number, message in enumerate(conversation.messages):
            if sharing and message.role == "user" and message.content in asked:
                again, shared = asked[message.content]
                messages.append(again)
                for hole in shared:
                    hole.messages.append(number)
                continue
            begin = len(holes)
            messages.append(self._stood_in(number, message, holes))
            if message.role == "user":
                asked[message.content] = messages[-1], holes[begin:]
        return holes, Conversation(tuple(messages), conversation.tools)

    def _stood_in(self, number: int, message: Message, holes: list[Hole]) -> Message:
        def hole(text: str) -> str:
            holes.append(Hole([number], text))
            return _stand_in(len(holes) - 1)

        def passage(text: str, *, always: bool) -> str:
            pieces, behind = [], 0
            tags = [found for found in _TAG.finditer(text) if found[0] in self._tags]
            for begin, stop in [*(tag.span() for tag in tags), (len(text), len(text))]:
                between = text[behind:begin]
                wanted = between.strip() or (always and begin == stop)
                pieces += [hole(between) if wanted else between, text[begin:stop]]
                behind = stop
            return "".join(pieces)

        reasoning = passage(message.reasoning, always=False)
        # Where an empty answer stands must be found too. Behind a user's last tag nothing may be put: Qwen 3 asks how
        # a question ends.
        answer = message.role == "assistant" or (message.role != "system" and not message.content.strip())
        content = passage(message.content, always=answer and not message.tool_calls)
        calls = tuple(msgspec.structs.replace(call, name=hole(call.name)) for call in message.tool_calls)
        return msgspec.structs.replace(message, content=content, reasoning=reasoning, tool_calls=calls)

    def _layout(self, skeleton: Conversation, holes: Sequence[Hole]) -> Layout:
        parts = _STAND_IN.split(self._template.render(skeleton.messages, tools=skeleton.tools).text)
        literals, inside = tuple(parts[::2]), tuple(map(int, parts[1::2]))
        owners = owners_of(inside, holes)
        answers = []
        for number, message in enumerate(skeleton.messages):
            if message.role == "assistant":
                own = self._own(inside, owners, number)
                answered = _STAND_IN.search(message.content.rpartition("</think>")[2])
                if answered and not own and not message.tool_calls:
                    raise Untellable(number + 1)  # the template leaves the answer out
                before = own[0] if own else max((p + 1 for p, owner in enumerate(owners) if owner < number), default=0)
                behind = own[-1] + 1 if own else before
                spoken = Spoken(literals[before], literals[behind], bool(own), number + 1 == len(skeleton.messages))
                around = (owners[before - 1] if before else 0, owners[behind] if behind < len(owners) else None)
                kinds = _kinds_around(skeleton, number, *around), bool(own)
                begin = self._begins.place(kinds, spoken.before, partial(self._begin, skeleton, number, spoken))
                calls = bool(own and message.tool_calls) and around[1] == number + 1
                find_end = partial(self._end, skeleton, number, spoken)
                end = self._ends.place(kinds, spoken.behind, find_end, by_ending=calls)
                answers.append((Point(before, begin), Point(behind, end if own else max(begin, end))))
        return Layout(literals, inside, tuple(answers))

    @staticmethod
    def _own(holes: Sequence[int], owners: Sequence[int], number: int) -> list[int]:
        """List the places of an answer's passages, without a tool's name that its answer repeats.

        Raises: Untellable: others' text stands between them.
        """
        places = [place for place, owner in enumerate(owners) if owner == number and holes[place] not in holes[:place]]
        if places and places[-1] - places[0] >= len(places):
            raise Untellable(number + 1)
        return places

    def _one_by_one(self, conversation: Conversation, text: str) -> Iterator[tuple[int, int]]:
        """Find each answer by a stand-in for it alone: the template writes the row otherwise than its skeleton."""
        whole = [self._passage(conversation, number, text) for number in range(len(conversation.messages))]
        for number, message in enumerate(conversation.messages):
            if message.role != "assistant":
                continue
            own = whole[number]
            known = (
                number == 0 or whole[number - 1] is not None or not conversation.messages[number - 1].content.strip()
            )
            if not known or (own is None and (message.content.strip() or message.reasoning.strip())):
                raise Untellable(number + 1)
            earlier = [found for found in whole[:number] if found]
            behind = max((stop for _, stop in earlier), default=0)
            later = [begin for begin, _ in (found for found in whole[number + 1 :] if found)]
            begin, stop = own or (min(later, default=len(text)), behind)
            last = number + 1 == len(conversation.messages)
            spoken = Spoken(text[behind:begin], text[stop : min(later, default=len(text))], own is not None, last)
            anchored = self._alone(conversation, max((n for n in range(number) if whole[n]), default=-1))
            first = behind + self._begin(anchored, number, spoken)
            end = stop + self._end(self._alone(conversation, number) if own else anchored, number, spoken)
            yield first, max(first, end)

    def _alone(self, conversation: Conversation, number: int) -> Conversation:
        """Put stand-ins into one turn."""
        messages = list(conversation.messages)
        if number >= 0:
            messages[number] = self._stood_in(number, messages[number], [])
        return Conversation(tuple(messages), conversation.tools)

    def _passage(self, conversation: Conversation, number: int, text: str) -> tuple[int, int] | None:
        """Find one turn's own text by what changes with it."""
        alone = self._alone(conversation, number)
        try:
            parts = _STAND_IN.split(self._template.render(alone.messages, tools=alone.tools).text)
        except NoTemplate:
            return None
        before, behind = parts[0], parts[-1]
        fits = text.startswith(before) and text.endswith(behind) and len(before) + len(behind) <= len(text)
        return (len(before), len(text) - len(behind)) if len(parts) > 1 and fits else None

    def _begin(self, conversation: Conversation, number: int, spoken: Spoken) -> int:
        """Say where an answer begins in the template's text before it. Raises: Untellable."""
        turns, header = conversation.messages[:number], self._answer_header()
        prompt = self._tail(conversation, turns, prompting=True) if turns else None
        begin = behind_header(spoken, prompt, header)
        if begin is None and spoken.own and (not turns or (prompt is None and not header)):
            begin = len(spoken.before)  # a system prompt of the template's own isn't learned
        if begin is None:
            raise Untellable(number + 1)
        return begin

    def _end(self, conversation: Conversation, number: int, spoken: Spoken) -> int:
        """Say where an answer's turn ends in the template's text behind it."""
        if spoken.last:
            return len(spoken.behind)
        turns = conversation.messages[: number + 1]
        following = self._tail(conversation, turns, prompting=True)
        closing = self._tail(conversation, turns, prompting=False)
        if following is None and closing is None:  # a template may refuse a conversation that the answer ends
            turns = (Message("user", _stand_in(0)), Message("assistant", _stand_in(1)))
            following = self._tail(conversation, turns, prompting=True)
            closing = self._tail(conversation, turns, prompting=False)
        return through_close(spoken.behind, following, closing, self._answer_header())

    def _tail(self, conversation: Conversation, turns: Sequence[Message], *, prompting: bool) -> str | None:
        """Give what the template writes behind the last passage of some turns; None: it refuses them."""
        try:
            text = self._template.render(turns, tools=conversation.tools, prompting=prompting).text
        except NoTemplate:
            return None
        return _STAND_IN.split(text)[-1]

    def _answer_header(self) -> str:
        """Give what the template adds when an answer is asked for; empty: nothing."""
        if self._header is None:
            asked = Conversation((Message("user", _stand_in(0)),))
            plain = self._tail(asked, asked.messages, prompting=False)
            prompted = self._tail(asked, asked.messages, prompting=True)
            alike = 0 if plain is None or prompted is None else alike_from_start(plain, prompted)
            self._header = without_thought((prompted or "")[alike:])
        return self._header


def _kinds_around(skeleton: Conversation, number: int, before: int, behind: int | None) -> Hashable:
    """Tell what a template may go by where it writes a turn's header and end, between the passages of two others."""
    last = len(skeleton.messages) if behind is None else behind
    near = skeleton.messages[max(0, min(before, number - 2)) : max(last, number + 2) + 1]
    kinds = tuple((m.role, bool(m.content.strip()), bool(m.reasoning.strip()), len(m.tool_calls)) for m in near)
    asked_again = any(message.role == "user" for message in skeleton.messages[number + 1 :])
    return kinds, number - before, number + 1 == len(skeleton.messages), asked_again, bool(skeleton.tools)


def _stand_in(number: int) -> str:
    return f"\uf8f0{_ONCE}-{number}\uf8f1"
