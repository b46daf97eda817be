"""What Ollama makes of a conversation: so much of Go's template language as `ollama_template` writes, and no more.

Source: Go's text/template; Ollama, template/template.go: what a template is given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pegbox_runs.rows.example import Message

_ACTION = re.compile(r'\{\{((?:"(?:\\.|[^"\\])*"|[^"}])*)\}\}')
_WORD = re.compile(r'\s*("(?:\\.|[^"\\])*"|[()]|[^\s()]+)')
_ESCAPED = re.compile(r'\\(?:["\\nt]|u[0-9a-f]{4}|U[0-9a-f]{8})')
_SHORT: Mapping[str, str] = {'"': '"', "\\": "\\", "n": "\n", "t": "\t"}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "eq": lambda one, other: one == other,
    "le": lambda one, other: one <= other,
    "not": lambda one: not one,
    "and": lambda one, other: one and other,
    "len": len,
    "slice": lambda row, begin: row[begin:],
}


class NotGo(Exception):
    """The text isn't of the part of the language that is known here."""


@dataclass
class _Block:
    """A piece of a template: text, output, a variable, a condition or a loop."""

    kind: str
    words: Sequence[Any] = ()
    text: str = ""
    inner: list[_Block] = field(default_factory=list)
    otherwise: list[_Block] = field(default_factory=list)


def render(template: str, messages: Sequence[Message], *, system: str = "") -> str:
    """Write a conversation as Ollama does; `system`: what the Modelfile says as SYSTEM.

    Raises: NotGo.
    """
    turns = list(messages)
    if system and (not turns or turns[0].role != "system"):
        turns = [Message("system", system), *turns]
    said = "\n\n".join(turn.content for turn in turns if turn.role == "system")
    given = {"System": said, "Messages": _collated(turns)}
    blocks = _blocks(template)
    return "".join(_written(blocks, {"$": given, ".": given}))


def _collated(turns: Sequence[Message]) -> list[dict[str, str]]:
    """Put turns of one role that follow each other together."""
    found: list[dict[str, str]] = []
    for turn in turns:
        if found and found[-1]["Role"] == turn.role:
            found[-1]["Content"] += "\n\n" + turn.content
        else:
            found.append({"Role": turn.role, "Content": turn.content})
    return found


def _blocks(template: str) -> list[_Block]:
    """Parse a template. Raises: NotGo."""
    root = _Block("root")
    open_blocks: list[tuple[_Block, list[_Block]]] = [(root, root.inner)]
    place = 0
    for action in _ACTION.finditer(template):
        open_blocks[-1][1].append(_Block("text", text=template[place : action.start()]))
        place = action.end()
        _take(_words(action[1]), open_blocks)
    if len(open_blocks) != 1 or "{{" in template[place:]:
        raise NotGo("a block isn't closed")
    root.inner.append(_Block("text", text=template[place:]))
    return root.inner


def _take(words: list[Any], open_blocks: list[tuple[_Block, list[_Block]]]) -> None:
    match words:
        case ["end"]:
            while open_blocks.pop()[0].kind == "else if":
                pass
        case ["else", *rest]:
            block, _ = open_blocks[-1]
            open_blocks[-1] = (block, block.otherwise)
            if rest:
                _open(_Block("else if", rest[1:]), open_blocks)
        case ["if", *condition]:
            _open(_Block("if", condition), open_blocks)
        case ["range", "$i,", "$_", ":=", row]:
            _open(_Block("range", [row]), open_blocks)
        case [name, ":=", *value]:
            open_blocks[-1][1].append(_Block("let", value, text=name))
        case [value]:
            open_blocks[-1][1].append(_Block("out", [value]))
        case _:
            raise NotGo(f"{words} isn't known")
    if not open_blocks:
        raise NotGo("an end too many")


def _open(block: _Block, open_blocks: list[tuple[_Block, list[_Block]]]) -> None:
    open_blocks[-1][1].append(block)
    open_blocks.append((block, block.inner))


def _words(action: str) -> list[Any]:
    """Cut an action into words; what is in brackets is a list of its own."""
    rows: list[list[Any]] = [[]]
    for word in _WORD.findall(action):
        if word == "(":
            rows.append([])
        elif word == ")":
            inner = rows.pop()
            rows[-1].append(inner)
        else:
            rows[-1].append(word)
    if len(rows) != 1:
        raise NotGo(f"a bracket isn't closed in {action}")
    return rows[0]


def _written(blocks: Sequence[_Block], names: dict[str, Any]) -> Iterator[str]:
    for block in blocks:
        if block.kind == "text":
            yield block.text
        elif block.kind == "out":
            yield str(_value(block.words[0], names))
        elif block.kind == "let":
            names[block.text] = _called(block.words, names)
        elif block.kind == "range":
            for place, item in enumerate(_value(block.words[0], names)):
                yield from _written(block.inner, {**names, "$i": place, ".": item})
        else:
            yield from _written(block.inner if _called(block.words, names) else block.otherwise, dict(names))


def _called(words: Sequence[Any], names: Mapping[str, Any]) -> Any:
    """Compute a call, or give a single value."""
    if len(words) == 1:
        return _value(words[0], names)
    name, *given = words
    if name not in _FUNCTIONS:
        raise NotGo(f"the function {name} isn't known")
    return _FUNCTIONS[name](*(_value(one, names) for one in given))


def _value(word: Any, names: Mapping[str, Any]) -> Any:
    if isinstance(word, list):
        return _called(word, names)
    if word.startswith('"'):
        return _ESCAPED.sub(lambda found: _SHORT.get(found[0][1]) or chr(int(found[0][2:], 16)), word[1:-1])
    if word.isdigit():
        return int(word)
    if word.startswith("$."):
        return names["$"][word[2:]]
    if word.startswith("."):
        return names["."][word[1:]]
    if word in names:
        return names[word]
    raise NotGo(f"{word} isn't known")
