"""What one model was asked and said, wrapped once and drawn where it changed."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from pegbox_runs.chatting.talk import Talk
from pegbox_runs.chatting.turns import Answer, Turn
from pegbox_runs.chatting.words import figures, opening, room
from pegbox_runs.printable import printable
from pegbox_tui.shell.sheet import Sheet

BEHIND_ALL = 1_000_000_000
"""A line that is behind the last one."""


class Transcript(Sheet):
    """Follows what is said, unless somebody has scrolled up."""

    def __init__(self, talk: Talk, lane: str) -> None:
        super().__init__(classes="transcript")
        self._talk = talk
        self._lane = lane
        self._kept: dict[int, list[Text]] = {}
        """By the number of a turn that is over: its lines in the present width."""
        self._wrapped_for = 0

    def show(self) -> None:
        """Draw what is new."""
        if self._wrapped_for != self.text_width:
            self._kept.clear()
            self._wrapped_for = self.text_width
        at_end = self.top + self.content_size.height >= len(self._lines)
        lines: list[Text] = []
        for turn in self._talk.turns:
            answer = turn.answers.get(self._lane)
            if answer is not None:
                lines += self._of(turn, answer)
        if not lines:
            lines = [line for part in self._before() for line in self.wrapped(part)]
        self.put(lines, top=BEHIND_ALL if at_end and self._talk.turns else None)

    def on_resize(self) -> None:
        """Wrap it anew."""
        self.show()

    def _before(self) -> Iterator[Text]:
        """Say what is to be known before a question was asked; what is of all stands in the last column."""
        progress = self._talk.progress
        if self._talk.lost is not None:
            yield Text(printable(self._talk.lost.why), "red")
            return
        if self._talk.opened is None:
            yield Text(self._coming() if progress else "starting a worker…", "dim")
            return
        yield Text("Ask something.", "dim")
        if self._lane == self._talk.lanes[-1]:
            for note in opening(self._talk):
                yield Text(f"\n{printable(note)}", "dim")

    def _coming(self) -> str:
        """Say what is done before the first token."""
        progress = self._talk.progress
        return printable(f"{progress.doing}…") if progress is not None else "…"

    def _of(self, turn: Turn, answer: Answer) -> list[Text]:
        if turn.number not in self._kept or not answer.end:
            lines = [line for part in self._parts(turn, answer) for line in self.wrapped(part)]
            if not answer.end:
                return lines
            self._kept[turn.number] = [*lines, Text()]
        return self._kept[turn.number]

    def _parts(self, turn: Turn, answer: Answer) -> Iterator[Text]:
        yield Text(f"> {printable(turn.question)}", "bold")
        if answer.text:
            yield Text(printable(answer.text))
        if answer.end == "failed":
            yield Text(printable(answer.why), "red")
        elif answer.end:
            yield Text(f"{'' if answer.text else 'said nothing: '}{figures(answer)}", "dim")
        else:
            yield Text(f"… {figures(answer)}" if answer.tokens else self._coming(), "dim")
        if answer.end:
            for note in room(self._talk, answer):
                yield Text(printable(note), "yellow")
