"""A model's chat template: turns written as text, as transformers writes them, and what is marked as learned."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import one_line
from pegbox_runs.rows.example import Message
from pegbox_runs.rows.formats.writing import turn_of

if TYPE_CHECKING:
    from jinja2 import Environment, Template

Spans = tuple[tuple[int, int], ...]
"""Ranges: the first place, and the one behind the last."""

SAID = 200
"""Letters of a template's own complaint that are told."""


class RowRefusal(Refusal):
    """One row can't be written as the model would see it."""

    row: int | None = None
    """Its number among the rows that were given to `mask_rows`, from 0; None: it was rendered alone."""


class NoTemplate(RowRefusal):
    """The conversation can't be rendered; `reason` says why in a clause."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"{reason[:1].upper()}{reason[1:]}. Change the rows, or name another template as model.chat_template."
        )
        self.reason = reason


class RenderedText(NamedTuple):
    """Turns as the model sees them."""

    text: str
    marks: Spans | None
    """The characters inside the template's `generation` blocks; None: it has no such blocks."""


class ChatTemplate:
    """Renders in a sandbox: templates come with models, so they are foreign code.

    Source of all that a template may use: `_compile_jinja_template` and `render_jinja_template` in
    transformers/utils/chat_template_utils.py.
    """

    def __init__(self, source: str, special_tokens: Mapping[str, str], *, with_tools: str | None = None) -> None:
        """Take the template's text, compiled at the first use.

        `special_tokens` are by the names that templates know them by, as `eos_token`; `with_tools` is the template to
        use where functions may be called, if the model has one of its own for that.
        """
        self.source = source
        self.special_tokens = dict(special_tokens)
        self._with_tools = with_tools
        self._compiled: dict[str, tuple[Template, bool]] = {}

    @classmethod
    def of(cls, found: object, special_tokens: Mapping[str, str]) -> ChatTemplate | None:
        """Take what a tokenizer has: a text, or several by name; None: there is none that could be used."""
        if isinstance(found, list):  # as tokenizer_config.json has it
            found = {one.get("name"): one.get("template") for one in found if isinstance(one, dict)}
        if isinstance(found, Mapping):
            source, with_tools = found.get("default"), found.get("tool_use")
            if isinstance(source, str):
                return cls(source, special_tokens, with_tools=with_tools if isinstance(with_tools, str) else None)
            return None
        return cls(found, special_tokens) if isinstance(found, str) else None

    def render(self, messages: Sequence[Message], *, tools: str = "", prompting: bool = False) -> RenderedText:
        """Write turns as the model sees them, with the header of an answer behind them if `prompting`.

        Raises: NoTemplate: the template refuses these turns, fails, or can't be compiled.
        """
        import jinja2

        try:
            given = [as_template_takes_it(message) for message in messages]
            may_call = msgspec.json.decode(tools) if tools else None
            source = self._with_tools if self._with_tools is not None and may_call is not None else self.source
            if source not in self._compiled:
                self._compiled[source] = _compiled(source)
            template, marked = self._compiled[source]
            recording = _Recording()
            token = _recording.set(recording)
            try:
                for block in template.generate(
                    **{
                        **self.special_tokens,
                        "messages": given,
                        "tools": may_call,
                        "documents": None,
                        "add_generation_prompt": prompting,
                    }
                ):
                    recording.blocks.append(block)
                    recording.length += len(block)
            finally:
                _recording.reset(token)
            text = "".join(recording.blocks)
            text.encode()  # half of a surrogate pair is no text that could be tokenized
        except jinja2.exceptions.TemplateSyntaxError as error:
            raise NoTemplate(f"the chat template is broken at line {error.lineno}: {_said(error)}") from None
        except jinja2.exceptions.TemplateError as error:
            roles = one_line(", ".join(message.role for message in messages), SAID)
            raise NoTemplate(f"the chat template refuses the roles {roles}: {_said(error)}") from None
        except Exception as error:  # noqa: BLE001 - foreign code may raise anything, while it is compiled too
            raise NoTemplate(f"the chat template fails: {type(error).__name__}: {_said(error)}") from None
        return RenderedText(text, tuple(recording.spans) if marked else None)


def _said(error: Exception) -> str:
    return one_line(str(error), SAID).rstrip(".")


def as_template_takes_it(message: Message) -> dict[str, Any]:
    """Write a turn in the keys that templates know: gpt-oss reads `thinking`, all others `reasoning_content`.

    Source: transformers gives both.
    """
    thinking = {"thinking": message.reasoning} if message.reasoning else {}
    return thinking | turn_of(message, msgspec.json.decode)


class _Recording:
    """One rendering: its blocks so far, and where `generation` blocks lie in them."""

    def __init__(self) -> None:
        self.blocks: list[str] = []
        self.length = 0
        self.spans: list[tuple[int, int]] = []


_recording: ContextVar[_Recording] = ContextVar("recording")


def _compiled(source: str) -> tuple[Template, bool]:
    """Compile a template. Returns: (it, whether it has `generation` blocks)."""
    from jinja2 import nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    marked = False

    class Generation(Extension):
        """Notes where what the assistant says begins and ends.

        Its body is a call's, as in transformers: what is set inside isn't known outside.
        """

        tags = {"generation"}  # noqa: RUF012 - the base class declares it so

        def parse(self, parser: Parser) -> nodes.Node:
            nonlocal marked
            marked = True
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.CallBlock(self.call_method("note"), [], [], body).set_lineno(line)

        def note(self, caller: Any) -> str:
            said = str(caller())
            recording = _recording.get()
            recording.spans.append((recording.length, recording.length + len(said)))
            return said

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    _give_words(environment)
    template = environment.from_string(source)
    return template, marked


def _give_words(environment: Environment) -> None:
    """Give a template the functions that transformers gives it."""
    import jinja2
    from jinja2.utils import Namespace

    class Dict:
        """`dict` without its attributes, by which a template could leave the sandbox."""

        def __call__(self, *pairs: Any, **named: Any) -> dict[Any, Any]:
            return dict(*pairs, **named)

        def fromkeys(self, *given: Any) -> dict[Any, Any]:
            return dict.fromkeys(*given)

    class SafeNamespace(Namespace):
        """A namespace without names that begin with an underscore."""

        def __init__(*given: Any, **named: Any) -> None:  # a template may name one of its values `self`
            values = dict(*given[1:], **named)
            for name in values:
                _refuse_hidden(name)
            Namespace.__init__(given[0], values)

        def __setitem__(self, name: str, value: Any) -> None:
            _refuse_hidden(name)
            super().__setitem__(name, value)

    def refuse(message: str) -> None:
        raise jinja2.exceptions.TemplateError(message)

    def to_json(
        value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
    ) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def now(pattern: str) -> str:
        return datetime.now().strftime(pattern)

    environment.filters["tojson"] = to_json
    environment.globals |= {
        "raise_exception": refuse,
        "strftime_now": now,
        "dict": Dict(),
        "namespace": SafeNamespace,
    }


def _refuse_hidden(name: object) -> None:
    import jinja2

    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a namespace can't hold a name that begins with an underscore: {name!r}")
