"""The chat: columns of answers that grow while the models speak, and a line to ask them all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.screen import Screen
from textual.widgets import Input

from pegbox_methods.events import Spoken
from pegbox_runs.chatting.records import BASE, Opened, Rendered
from pegbox_runs.chatting.talk import POLL_SECONDS, Heard, Lost, Talk
from pegbox_runs.chatting.words import choice, title
from pegbox_runs.jobs import JobFailed
from pegbox_tui.chat.explanations import CHAT
from pegbox_tui.chat.keys import COMMANDS, KEYS
from pegbox_tui.chat.prompt_sheet import PromptScreen
from pegbox_tui.chat.settings_sheet import Settings, SettingsScreen
from pegbox_tui.chat.transcript import Transcript
from pegbox_tui.shell.app import PegboxApp
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.shell.fields import Field
from pegbox_tui.shell.key_line import KeyLine
from pegbox_tui.shell.said_line import SaidLine
from pegbox_tui.shell.sheet import OneLine

DRAW_SECONDS = 0.1
CALM_SECONDS = 5.0
"""Between two drawings while models speak."""
LONGEST_QUESTION = 100_000
MOST_BESIDE = 2
"""Columns that a narrow terminal holds beside each other; more stand below each other."""


class Column(Vertical):
    """One model: its name, what was said."""

    def __init__(self, talk: Talk, lane: str) -> None:
        super().__init__(classes="column")
        self.lane = lane
        self._talk = talk

    def compose(self) -> ComposeResult:
        """Lay out a title and what was said."""
        yield OneLine(f"title-{self._talk.lanes.index(self.lane)}")
        yield Transcript(self._talk, self.lane)

    def on_mount(self) -> None:
        """Name it."""
        self.query_one(OneLine).say(title(self._talk, self.lane))


class ChatScreen(Screen[str]):
    """Draws one `Talk`. Dismissed with why no model could be loaded, or nothing."""

    CSS_PATH = "chat.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 - as the base class
    BINDINGS: ClassVar[list[BindingType]] = KEYS
    AUTO_FOCUS = "#question"

    def __init__(self, talk: Talk, *, both: bool) -> None:
        super().__init__()
        self.talk = talk
        self._base = both
        self._beside: bool | None = None
        """None: as many as there are decide it."""
        self._drawn_at = 0.0
        self._due = True
        self._recalled = 0
        """How many questions back the field shows one."""
        self._interrupted = 0
        """Number of the question whose answers were interrupted last."""
        self.never_opened = ""
        self._was_open = False

    @property
    def asked(self) -> tuple[str, ...]:
        """The lanes that answer."""
        return tuple(lane for lane in self.talk.lanes if lane != BASE or self._base)

    def compose(self) -> ComposeResult:
        """Lay out a headline, the columns, what is to be said, the question and the keys."""
        yield OneLine("headline")
        with Container(id="columns"):
            for lane in self.talk.lanes:
                yield Column(self.talk, lane)
        yield SaidLine("said")
        yield Field(placeholder="Ask", id="question", longest=LONGEST_QUESTION)
        yield KeyLine()

    def on_mount(self) -> None:
        """Begin to hear."""
        self._arrange()
        self._headline()
        self.set_interval(POLL_SECONDS, self._hear)

    def on_resize(self) -> None:
        """Place the columns as there is room."""
        self._arrange()

    def explanation(self) -> Explanation | None:
        """Explain the chat."""
        return CHAT

    def commands(self) -> Iterable[tuple[str, str, Callable[[], None]]]:
        """Offer what the keys do to the palette."""
        for name, does, action in COMMANDS:
            yield name, does, getattr(self, f"action_{action}")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Ask."""
        if event.input.id != "question" or not event.value.strip():
            return
        try:
            self.talk.ask(event.value, self.asked)
        except JobFailed as failed:
            self._say(failed.sentence)
            return
        self._recalled = 0
        event.input.clear()
        self._draw()

    def interrupted(self) -> bool:
        """Interrupt whoever speaks. Returns: whether somebody did who wasn't interrupted before."""
        turn = self.talk.turns[-1].number if self.talk.answering else 0
        self.talk.interrupt()
        anew, self._interrupted = turn != self._interrupted, turn
        return bool(turn) and anew

    def action_interrupt(self) -> None:
        """Let whoever speaks stop."""
        if not self.interrupted() and not self.talk.answering:
            self._say("Nobody speaks. ctrl+c leaves.")

    def action_base(self) -> None:
        """Let the base model answer too, or not."""
        self._base = not self._base
        unheard = sum(BASE not in turn.answers for turn in self.talk.turns)
        many = "the question" if unheard == 1 else f"the {unheard} questions"
        since = f" It hasn't heard {many} that it wasn't asked." if unheard and self._base else ""
        self._say(f"The base model answers from now on.{since}" if self._base else "The base model isn't asked.")
        self._arrange()
        self._draw()

    def action_prompt(self) -> None:
        """Show what the models see: of what is typed, or of the last question."""
        typed = self.query_one("#question", Field).value
        sheet = PromptScreen(self.talk, self.asked)
        if typed.strip():
            try:
                self.talk.show(typed, self.asked)
            except JobFailed as failed:
                self._say(failed.sentence)
                return
        elif self.talk.turns:
            for answer in self.talk.turns[-1].answers.values():
                if answer.rendered is not None:
                    sheet.take(answer.rendered)
        else:
            self._say("Type something, or ask: then there is a prompt to be shown.")
            return
        self.app.push_screen(sheet)

    def action_settings(self) -> None:
        """Change how tokens are chosen, and what the system says."""

        def take(settings: Settings | None) -> None:
            if settings is not None:
                self.talk.sampling, self.talk.system = settings
                self._headline()
                self._say(f"From the next question on: {choice(self.talk.sampling)}.")

        self.app.push_screen(SettingsScreen((self.talk.sampling, self.talk.system)), take)

    def action_reset(self) -> None:
        """Forget what was said."""
        self.talk.forget()
        self._say("What was said is forgotten; the models are as they were.")
        self._draw()

    def action_layout(self) -> None:
        """Place the columns beside each other, or below."""
        self._beside = not self._is_beside
        self._arrange()

    def action_recall(self, step: int) -> None:
        """Put an earlier question into the field."""
        asked = [turn.question for turn in self.talk.turns]
        self._recalled = min(max(self._recalled - step, 0), len(asked))
        field = self.query_one("#question", Field)
        field.value = asked[-self._recalled] if self._recalled else ""
        field.cursor_position = len(field.value)

    def action_scroll(self, pages: int) -> None:
        """Scroll all columns."""
        for transcript in self.query(Transcript):
            transcript.action_scroll_pages(pages)

    @property
    def _is_beside(self) -> bool:
        if self._beside is not None:
            return self._beside
        return len(self.asked) <= MOST_BESIDE or self.has_class("-wide") or self.app.size.width >= 110

    def _arrange(self) -> None:
        self.query_one("#columns").set_class(not self._is_beside, "-below")
        for column in self.query(Column):
            column.display = column.lane in self.asked

    def _hear(self) -> None:
        """Take in what was said, and draw it as often as is sensible."""
        heard = self.talk.hear()
        for what in heard:
            self._take(what)
        self._due = self._due or bool(heard)
        calm = cast("PegboxApp[Any]", self.app).look.calm
        wait = CALM_SECONDS if calm and self.talk.answering else DRAW_SECONDS
        if self._due and time.monotonic() >= self._drawn_at + wait:
            self._draw()

    def _take(self, what: Heard) -> None:
        if isinstance(what, Opened):
            self._was_open, self.never_opened = True, ""
        elif isinstance(what, Lost):
            if self._was_open:
                self._say(f"The models are gone ({what.why}). What was said is here; the next question loads them.")
            else:
                self.never_opened = what.why
                self._say(f"No model could be loaded: {what.why}")
        elif isinstance(what, Rendered) and isinstance(self.app.screen, PromptScreen):
            self.app.screen.take(what)
        elif isinstance(what, Spoken) and what.turn == 0:
            self._say(what.why)

    def _draw(self) -> None:
        self._drawn_at, self._due = time.monotonic(), False
        for column in self.query(Column):
            if column.display:
                column.query_one(Transcript).show()

    def _headline(self) -> None:
        first = self.talk.speakers[0].run
        said = f"chat · {title(self.talk, BASE)} · {choice(self.talk.sampling).partition(':')[0]}"
        self.query_one("#headline", OneLine).say(f"{said} · {first.recipe.output.note}".removesuffix(" · "))

    def _say(self, text: str) -> None:
        """Show a line above the question; it may hold anything."""
        self.query_one(SaidLine).tell(text, stay=bool(self.never_opened))
