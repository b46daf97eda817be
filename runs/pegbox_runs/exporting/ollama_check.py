"""Whether Ollama's template writes what the run's does, in many conversations; and where it can't."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from pegbox_runs.exporting.ollama_go import NotGo, render
from pegbox_runs.exporting.ollama_parts import NotTakenApart
from pegbox_runs.rows.chat_template import ChatTemplate, NoTemplate
from pegbox_runs.rows.example import Message

CONTENTS = (
    "What is the capital of France?",
    "Write a function:\n\n```python\ndef f(x):\n    return {'a': x}  # {{ x }} {% if %}\n```\nThanks!",
    'Say "hello" in Ελληνικά, 日本語 and عربي 🚀.',
    "1. one\n2. two\n\n\tthree",
    "<b>bold</b> & [INST] $x \\n %d",
)
PROMPTS = (None, "You are a pirate.", 'Answer in JSON:\n{"a": 1}\n\nBe brief.')
LONGEST = 4
"""Questions of a conversation."""


def compare(template: ChatTemplate, go: str, *, begin: str, default: str, takes_system: bool) -> int:
    """Hold Ollama's template against the run's. `begin`: what Ollama writes before the text.

    Returns: the conversations that were compared, all of them written alike.
    Raises: NotTakenApart: says which one isn't.
    """
    count = 0
    for turns in conversations(takes_system=takes_system):
        try:
            expected, found = template.render(turns, prompting=True).text, begin + render(go, turns, system=default)
        except (NoTemplate, NotGo) as error:
            raise NotTakenApart(f"it can't be written in Go's language ({error})") from error
        if found != expected:
            roles = ", ".join(turn.role for turn in turns)
            raise NotTakenApart(f"the turns {roles} are written otherwise than fixed texts around contents")
        count += 1
    return count


def remarks_on(template: ChatTemplate, go: str, *, begin: str, default: str, takes_system: bool) -> tuple[str, ...]:
    """List what the run's template does and Ollama's language can't, each in a sentence."""

    def same(said: str) -> bool:
        turns = [Message("user", said), Message("assistant", said), Message("user", "Go on.")]
        try:
            return template.render(turns, prompting=True).text == begin + render(go, turns, system=default)
        except NoTemplate:
            return False

    found = []
    if not same("  spaces around  "):
        found.append("The run's template takes spaces away around contents; Ollama's language can't.")
    if not same("<think>\nLet me see.\n</think>\n\nYes."):
        found.append("The run's template leaves earlier reasoning (<think>) out; Ollama's will show it to the model.")
    if not takes_system:
        found.append("The run's template refuses system prompts; Ollama's leaves them out.")
    if "strftime_now" in template.source:
        found.append("The run's template writes today's date; Ollama's holds that of the export.")
    if "tools" in template.source:
        found.append("Tools aren't taken along: Ollama will say that the model can't call any.")
    return tuple(found)


def conversations(*, takes_system: bool) -> Iterator[list[Message]]:
    """Write conversations of many shapes, each of which ends with a question."""
    for questions, offset, prompt in product(range(1, LONGEST + 1), range(len(CONTENTS)), PROMPTS):
        if prompt is not None and not takes_system:
            continue
        turns = [] if prompt is None else [Message("system", prompt)]
        for place in range(2 * questions - 1):
            role = "assistant" if place % 2 else "user"
            turns.append(Message(role, CONTENTS[(offset + place) % len(CONTENTS)]))
        yield turns
