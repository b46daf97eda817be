"""A template in Go's language, as Ollama takes it, out of the parts of a Jinja template."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pegbox_runs.exporting.ollama_parts import Parts

LAST = "{{ $last := eq (len (slice $.Messages $i)) 1 }}"
"""As in Ollama's own templates."""
PLAIN = "{{ .Prompt }}"
"""Of a model without a chat template. Source: Ollama, template/template.go, DefaultTemplate."""
_ESCAPES: Mapping[str, str] = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
_RISKY = re.compile(r'\{\{|\}\}|"""')


def go_template(parts: Parts, *, begin: str, default: str) -> str:
    """Write the template. `begin`: what Ollama itself writes before the text, which is left out here; `default`: a
    system prompt that Ollama gives where nobody else does, which is left out here too.
    """
    system = parts.system
    asks, content = literal(parts.asks), "{{ .Content }}"
    if system is not None and system.place == "first":
        asks += f"{{{{ if and (le $i 1) $.System }}}}{_around('$.System', system.before, system.behind)}{{{{ end }}}}"
    elif system is not None and system.place == "last":
        asks += f"{{{{ if and $last $.System }}}}{_around('$.System', system.before, system.behind)}{{{{ end }}}}"
    waiting, answered = literal(parts.answers), literal(parts.asked)
    behind = waiting if waiting == answered else f"{{{{ if $last }}}}{waiting}{{{{ else }}}}{answered}{{{{ end }}}}"
    return (
        _front(parts, begin, default)
        + f"{{{{ range $i, $_ := .Messages }}}}{LAST}"
        + f'{{{{ if eq .Role "user" }}}}{asks}{content}{behind}'
        + f'{{{{ else if eq .Role "assistant" }}}}{content}{{{{ if not $last }}}}{literal(parts.said)}{{{{ end }}}}'
        + "{{ end }}{{ end }}"
    )


def default_system(parts: Parts) -> str:
    """Give the system prompt that a template writes where nobody gives one; empty: none that stands in the same form.

    Ollama knows such a prompt as SYSTEM, and shows it.
    """
    system = parts.system
    if system is None or system.place != "front":
        return ""
    around = parts.begin.startswith(system.before) and parts.begin.endswith(system.behind)
    room = len(parts.begin) - len(system.before) - len(system.behind)
    found = parts.begin[len(system.before) :][:room] if around and room > 0 else ""
    return "" if '"""' in found or not _kept(found) else found


def literal(text: str) -> str:
    """Write a text so that Go gives it back, and a Modelfile keeps it: that drops characters that can't be printed."""
    if not _RISKY.search(text) and _kept(text):
        return text
    return f"{{{{ {quoted(text)} }}}}"


def quoted(text: str) -> str:
    """Write a text as a string of Go's, with what can't be printed escaped."""
    return '"' + "".join(_ESCAPES.get(letter) or _letter(letter) for letter in text) + '"'


def _letter(letter: str) -> str:
    if letter.isprintable():
        return letter
    return f"\\u{ord(letter):04x}" if ord(letter) < 2**16 else f"\\U{ord(letter):08x}"


def _front(parts: Parts, begin: str, default: str) -> str:
    """Write what stands before the first question."""
    system = parts.system
    alone = literal(parts.begin.removeprefix(begin))
    if system is None or system.place != "front":
        return alone
    given = _around(".System", system.before.removeprefix(begin), system.behind)
    if default:  # then there is always one
        return given
    return (
        f"{{{{ if .System }}}}{given}{{{{ else }}}}{alone}{{{{ end }}}}"
        if alone
        else (f"{{{{ if .System }}}}{given}{{{{ end }}}}")
    )


def _around(name: str, before: str, behind: str) -> str:
    return f"{literal(before)}{{{{ {name} }}}}{literal(behind)}"


def _kept(text: str) -> bool:
    """Tell whether a Modelfile's reader keeps all characters. Source: Ollama, parser/parser.go, strconv.IsPrint."""
    return all(letter.isprintable() or letter in "\n\t" for letter in text)
