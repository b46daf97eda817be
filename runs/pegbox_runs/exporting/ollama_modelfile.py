"""The Modelfile: what Ollama is told of a model. Source: Ollama, docs/modelfile.md and parser/parser.go."""

from __future__ import annotations

from dataclasses import dataclass

from pegbox_runs.exporting.gguf_template import begin_of
from pegbox_runs.exporting.ollama_check import compare, remarks_on
from pegbox_runs.exporting.ollama_parts import parts_of
from pegbox_runs.exporting.ollama_template import PLAIN, default_system, go_template
from pegbox_runs.light_tokenizer import LightTokenizer

MODELFILE = "Modelfile"
LEAST_CONTEXT = 4096
"""Tokens, where the model was built for so many. Source: Ollama's own default, docs/faq."""


@dataclass(frozen=True)
class Told:
    """What a Modelfile says beside the model's file."""

    template: str
    system: str
    """A system prompt for those who give none; empty: none."""
    stops: tuple[str, ...]
    remarks: tuple[str, ...]
    compared: int
    """Conversations in which the template writes what the run's does."""


def told_of(tokenizer: LightTokenizer) -> Told:
    """Translate a chat template. Raises: NotTakenApart: it can't be; says why in a clause."""
    ends = tuple(sorted(tokenizer.show(end) for end in tokenizer.ends))
    template = tokenizer.template
    if template is None:
        return Told(PLAIN, "", ends, ("The model has no chat template: Ollama hands on what is typed, as it is.",), 0)
    parts = parts_of(template, ends)
    begin = begin_of(tokenizer)
    default = default_system(parts)
    go = go_template(parts, begin=begin, default=default)
    takes_system = parts.system is not None
    compared = compare(template, go, begin=begin, default=default, takes_system=takes_system)
    remarks = remarks_on(template, go, begin=begin, default=default, takes_system=takes_system)
    end = parts.said.strip()
    stops = ends if not end or any(known and known in parts.said for known in ends) else (*ends, end)
    return Told(go, default, stops, remarks, compared)


def modelfile(told: Told, file: str, *, run: str, context: int) -> str:
    """Write a Modelfile. `file`: the GGUF file beside it; `context`: tokens that the model sees at once."""
    lines = [
        f"# The model of the run {run}. To take it in: ollama create NAME -f {MODELFILE}",
        f"FROM ./{file}",
        f'TEMPLATE """{told.template}"""',
    ]
    if told.system:
        lines.append(f'SYSTEM """{told.system}"""')
    lines += [f"PARAMETER stop {_quoted(stop)}" for stop in told.stops if stop]
    lines.append(f"PARAMETER num_ctx {context}")
    return "\n".join(lines) + "\n"


def context_of(positions: int | None, trained: int) -> int:
    """Choose how many tokens the model sees at once: as long as its rows were, and as Ollama does without a word."""
    wanted = max(trained, LEAST_CONTEXT)
    return wanted if positions is None else min(positions, wanted)


def _quoted(text: str) -> str:
    return f'"""{text}"""' if '"' in text else f'"{text}"'
