"""A model's tokenizer and chat template without transformers: ready in a tenth of a second."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from pegbox_runs.models import TOKENIZER
from pegbox_runs.rows.example import Message

SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")

RENDERING_SECONDS = 5.0
"""For all rows together; an honest template takes less than a millisecond a row."""


class NoTemplate(Exception):
    """The conversation can't be rendered; the message says why."""


class LightTokenizer:
    """tokenizer.json by the `tokenizers` library, and the template by Jinja, as transformers renders it."""

    def __init__(self, folder: Path) -> None:
        """Load both. Raises: OSError or ValueError: there is no such file, or it can't be used."""
        from tokenizers import Tokenizer

        if not (folder / TOKENIZER).is_file():
            raise OSError(f"the model's folder has no {TOKENIZER}")
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        except Exception as error:  # noqa: BLE001 - the library raises nothing more exact
            raise ValueError(f"{TOKENIZER} can't be used: {error}") from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._table = _read(folder / "tokenizer_config.json")
        self._named = {key: _text(self._table[key]) for key in SPECIAL if _text(self._table.get(key))}
        self._source = _template_text(folder, self._table)
        self._template: Any = None
        self.special = {i for i, token in self._tokenizer.get_added_tokens_decoder().items() if token.special}
        end = self._named.get("eos_token")
        self.end = None if end is None else self._tokenizer.token_to_id(end)

    def encode(self, texts: Sequence[str], *, templated: bool) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """Give (token ids, the characters each stands for) of each text; a template writes its own special tokens."""
        encoded = self._tokenizer.encode_batch(list(texts), add_special_tokens=not templated)
        return [(row.ids, row.offsets) for row in encoded]

    def render(self, messages: Sequence[Message], *, prompting: bool) -> str:
        """Write turns as the model sees them. Raises: NoTemplate."""
        import jinja2

        if self._source is None:
            raise NoTemplate("the tokenizer has no chat template")
        try:
            if self._template is None:
                self._template = _compiled(self._source)
            turns = [{"role": message.role, "content": message.content} for message in messages]
            given = {"messages": turns, "tools": None, "documents": None, "add_generation_prompt": prompting}
            return str(self._template.render(**given, **self._named))
        except jinja2.exceptions.TemplateError as error:
            raise NoTemplate(f"the chat template refuses a row: {error}") from None
        except (TypeError, ValueError, KeyError, ArithmeticError, RecursionError, MemoryError) as error:
            raise NoTemplate(f"the chat template fails: {type(error).__name__}: {error}") from None


@contextmanager
def rendering_limit(seconds: float) -> Iterator[None]:
    """Stop rendering that takes too long: the sandbox bounds one range, and not two nested ones.

    Works in the main thread on POSIX; elsewhere nothing is stopped. An alarm that was set before rings at its time.
    Raises: NoTemplate.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise NoTemplate(f"the chat template takes more than {seconds:g} s")

    begin, former = time.monotonic(), signal.signal(signal.SIGALRM, stop)
    pending, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if former is None else former)
        if pending:
            left = pending - (time.monotonic() - begin)
            signal.setitimer(signal.ITIMER_REAL, max(left, 0.001), interval)


def _compiled(source: str) -> Any:
    """Compile a template in the sandbox and with the words that transformers gives it.

    Source: `_compile_jinja_template` in transformers/utils/chat_template_utils.py.
    """
    import jinja2
    from jinja2 import nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """Marks what the assistant says; here it only lets it through."""

        tags = {"generation"}  # noqa: RUF012 - the base class declares it so

        def parse(self, parser: Parser) -> list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def refuse(message: str) -> None:
        raise jinja2.exceptions.TemplateError(message)

    def to_json(value: Any, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=False, **options)

    def now(pattern: str) -> str:
        return datetime.now().strftime(pattern)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = now
    return environment.from_string(source)


def _template_text(folder: Path, table: dict[str, Any]) -> str | None:
    """Find the template: in a file of its own, or in the tokenizer's config; of several named ones the default."""
    try:
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        pass
    found = _read(folder / "chat_template.json").get("chat_template") or table.get("chat_template")
    if isinstance(found, list):
        by_name = {one.get("name"): one.get("template") for one in found if isinstance(one, dict)}
        found = by_name.get("default")
    return found if isinstance(found, str) else None


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(token: Any) -> str:
    """Give a special token's text, which may be wrapped in a description."""
    found = token.get("content") if isinstance(token, dict) else token
    return found if isinstance(found, str) else ""
