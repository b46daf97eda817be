"""Reads a Modelfile rune by rune, as Ollama does. Source: Ollama, parser/parser.go."""

from __future__ import annotations

COMMANDS = (
    "from",
    "license",
    "template",
    "system",
    "adapter",
    "parameter",
    "message",
    "requires",
    "renderer",
    "parser",
)


def read_modelfile(text: str) -> list[tuple[str, str]]:
    """Give (command, value) of each; a parameter's name is its command. Raises: ValueError: Ollama refuses it."""
    found: list[tuple[str, str]] = []
    state, command, held = "nil", "", ""
    for rune in [*text, "\n"]:
        blank, line = rune in " \t", rune in "\r\n"
        if state == "nil":
            state, held = ("comment", "") if rune == "#" else ("nil", "") if blank or line else ("name", rune)
        elif state == "comment":
            state = "nil" if line else "comment"
        elif state in ("name", "parameter"):
            if blank:
                if state == "name" and held.lower() not in COMMANDS:
                    raise ValueError(f"no command: {held}")
                command = held.lower()
                state, held = ("parameter" if state == "name" and command == "parameter" else "value"), ""
            elif rune.isascii() and (rune.isalpha() or (state == "parameter" and (rune.isdigit() or rune == "_"))):
                held += rune
            else:
                raise ValueError(f"{rune!r} in the name {held}")
        elif blank or line:
            value = _unquoted(held.strip())
            if value is None or blank:
                held += rune
            else:
                found.append((command, value))
                state, held = "nil", ""
        elif rune.isprintable():
            held += rune
    if state != "nil" or not any(command == "from" for command, _ in found):
        raise ValueError("it ends amidst a value, or has no FROM")
    return found


def _unquoted(text: str) -> str | None:
    if text.startswith('"""'):
        return text[3:-3] if len(text) >= 6 and text.endswith('"""') else None
    if text.startswith('"'):
        return text[1:-1] if len(text) >= 2 and text.endswith('"') else None
    return text
