"""A chat in plain lines: for pipes, for `--once`, and for terminals that can't do more.

Standard output holds answers alone, and who gives them where there are several; all else goes to standard error.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

from pegbox.answer import answer_json, say
from pegbox.chat_record import record
from pegbox.terminal import is_terminal
from pegbox_methods.events import Progress
from pegbox_runs.chatting.records import BASE, Opened
from pegbox_runs.chatting.talk import POLL_SECONDS, Lost, Talk
from pegbox_runs.chatting.turns import Answer, Turn
from pegbox_runs.chatting.words import figures, opening, room, title
from pegbox_runs.jobs import JobFailed
from pegbox_runs.printable import printable

HELP = """\
A line is a question. Others begin with a slash:
/tuned   the tuned model answers alone      /prompt  show the last prompt as the model saw it
/base    the base model answers alone       /reset   forget what was said
/both    they answer one after the other    /help    this
/quit    leave (so does ctrl+d); ctrl+c interrupts an answer"""


class Lines:
    """Reads questions, prints answers as they come."""

    def __init__(self, talk: Talk, *, both: bool, json: bool, prompts: bool) -> None:
        self._talk = talk
        self._json = json
        self._prompts = prompts
        self._tuned = tuple(lane for lane in talk.lanes if lane != BASE)
        self._asked = talk.lanes if both else self._tuned
        self._failed = False

    def run(self, once: str | None) -> int:
        """Ask one question, or all that come. Returns: 1 if one had no answer.

        Raises: JobFailed: the models can't be loaded.
        """
        try:
            self._load()
        except KeyboardInterrupt:
            self._aside("")
            return 130
        if once is not None:
            self._ask(once)
            return int(self._failed)
        for note in opening(self._talk):
            self._aside(note)
        if is_terminal():
            self._aside(HELP)
        for line in self._questions():
            if not self._obey(line):
                break
        return int(self._failed)

    def _load(self) -> None:
        """Load the models, and say how far that is. Raises: JobFailed."""
        self._talk.open()
        while self._talk.opened is None:
            for heard in self._talk.hear():
                if isinstance(heard, Progress):
                    self._aside(heard.doing)
                elif isinstance(heard, Lost):
                    raise JobFailed(heard.why, log_tail=heard.last_words)
                elif isinstance(heard, Opened):
                    return
            time.sleep(POLL_SECONDS)

    def _questions(self) -> Iterator[str]:
        """Read lines until there are no more, or the person leaves."""
        reconfigure: Callable[..., None] | None = getattr(sys.stdin, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
        if not is_terminal():
            yield from sys.stdin or ()
            return
        while True:
            try:
                yield self._typed()
            except (EOFError, KeyboardInterrupt):
                self._aside("")
                return

    def _typed(self) -> str:
        """Read what a person types. Raises: EOFError."""
        if not self._json:
            import readline  # noqa: F401  # makes input() edit and remember lines

            return input("> ")
        print("> ", end="", file=sys.stderr, flush=True)  # input() would write it where only JSON belongs
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line

    def _obey(self, line: str) -> bool:
        """Do as a line says. Returns: whether more are wanted."""
        line = line.rstrip("\r\n")
        match line.rstrip():
            case "":
                pass
            case "/quit" | "/exit":
                return False
            case "/help":
                self._aside(HELP)
            case "/reset":
                self._talk.forget()
                self._aside("What was said is forgotten.")
            case "/base" | "/tuned" | "/both":
                self._asked = {"/base": (BASE,), "/tuned": self._tuned, "/both": self._talk.lanes}[line.rstrip()]
                self._aside(f"From now on: {', '.join(title(self._talk, lane) for lane in self._asked)}.")
            case "/prompt":
                self._show_prompts()
            case word if word.startswith("/") and " " not in word:
                self._aside(f"{word}: is no command. /help lists them; begin with a space to ask it.")
            case _:
                self._ask(line.removeprefix(" ") if line.startswith(" /") else line)
        return True

    def _ask(self, question: str) -> None:
        """Have one lane after the other answer, so that their lines don't mix."""
        turn: Turn | None = None
        for lane in self._asked:
            try:
                turn = self._talk.ask(question, (lane,), same=turn)
            except JobFailed as failed:
                self._aside(failed.explained)
                self._failed = True
                turn = turn or Turn(0, question)
                turn.answers.update((other, Answer(other)) for other in self._asked if other not in turn.answers)
                turn.give_up(failed.sentence)
                break
            if not self._answered(turn, lane):
                break
        if turn is not None and self._json:
            answer_json(record(self._talk, turn))

    def _answered(self, turn: Turn, lane: str) -> bool:
        """Print an answer as it comes. Returns: whether the next one is wanted."""
        if len(self._asked) > 1 and not self._json:
            say(f"{title(self._talk, lane)}:")
        told, shown, stop = 0, False, False
        while True:
            try:
                for heard in self._talk.hear():
                    if isinstance(heard, Lost) and heard.last_words:
                        self._aside(heard.last_words)
                answer = turn.answers[lane]
                if self._prompts and not shown and answer.rendered is not None:
                    shown = True
                    self._show_prompt(turn, lane)
                self._write(answer.text[told:])
                told = len(answer.text)
                if answer.end:
                    break
                time.sleep(POLL_SECONDS)
            except KeyboardInterrupt:
                if stop:
                    raise
                stop = True
                self._talk.interrupt()
        self._write("\n")
        self._failed = self._failed or answer.end == "failed"
        if answer.end == "failed":
            self._aside(answer.why)
        else:
            self._aside(f"({figures(answer)})")
        for note in room(self._talk, answer):
            self._aside(f"({note})")
        return not stop

    def _write(self, text: str) -> None:
        """Print a piece; what a model writes shows, and never acts on the terminal."""
        if text and not self._json:
            print(printable(text), end="", flush=True)

    def _show_prompts(self) -> None:
        turn = self._talk.turns[-1] if self._talk.turns else None
        if turn is None:
            self._aside("Nothing was asked yet.")
            return
        for lane in turn.answers:
            self._show_prompt(turn, lane)

    def _show_prompt(self, turn: Turn, lane: str) -> None:
        shown = turn.answers[lane].rendered
        if shown is not None:
            of = f" of {shown.context:,}" if shown.context else ""
            self._aside(f"The prompt of {title(self._talk, lane)}, {len(shown.ids):,}{of} tokens:\n{shown.text}")
            self._aside(f"tokens: {' '.join(map(str, shown.ids))}")

    def _aside(self, text: str) -> None:
        """Say what isn't an answer."""
        print(printable(text), file=sys.stderr, flush=True)
