"""Answers to held-out questions, before the training and after it."""

from __future__ import annotations

from pegbox_methods.events import Sample
from pegbox_runs.run_report.facts import RunFacts
from pegbox_runs.run_report.parts import Part, Said, Section, Verbatim

_QUESTIONS = 20
_CHARACTERS = 4000


def samples(facts: RunFacts) -> Section:
    """Make it: of each question the first and the newest answer."""
    questions: dict[int, list[Sample]] = {}
    for sample in facts.state.samples:
        questions.setdefault(sample.index, []).append(sample)
    parts: list[Part] = []
    for asked in list(questions.values())[:_QUESTIONS]:
        parts += _question(asked)
    if not parts:
        parts.append(Said("No sample answers were asked for, or none is there yet: evaluation.samples in the recipe."))
    elif len(questions) > _QUESTIONS:
        parts.append(Said(f"{len(questions) - _QUESTIONS} more questions are in the run's log.", "quiet"))
    parts.append(Said("Questions and answers come from the run's own rows: mind who gets this page.", "quiet"))
    return Section("samples", "Sample answers", tuple(parts))


def _question(asked: list[Sample]) -> list[Part]:
    first, last = asked[0], asked[-1]
    parts: list[Part] = [Verbatim(f"Question {last.index + 1}", _cut(last.question))]
    if last.expected:
        parts.append(Verbatim("What the row says", _cut(last.expected)))
    parts.append(Verbatim(_when(first), _cut(first.answer)))
    if last is not first:
        same = "; as the row says" if last.expected and last.answer.strip() == last.expected.strip() else ""
        parts.append(Verbatim(_when(last) + same, _cut(last.answer)))
    return parts


def _when(sample: Sample) -> str:
    return "Before the training" if sample.step == 0 else f"After step {sample.step:,}"


def _cut(text: str) -> str:
    if not text:
        return "(nothing)"
    return text if len(text) <= _CHARACTERS else f"{text[:_CHARACTERS]}… ({len(text) - _CHARACTERS:,} more characters)"
