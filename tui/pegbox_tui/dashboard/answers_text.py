"""The model's sample answers: by question, how they changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from pegbox_methods.events import Sample
from pegbox_runs.printable import one_line
from pegbox_runs.run_state import RunState

QUESTION_CHARACTERS = 300
ANSWER_CHARACTERS = 1000
MOST_CHANGES = 8
"""Of one question's answer that are shown, the newest and the first."""
NAME = 12


def answer_lines(state: RunState) -> list[Text]:
    """Tell each question, the answer that the row gives, and what the model said, the newest first."""
    if not state.samples:
        return [Text("no sample answers yet; evaluation.samples in the recipe says how many are asked for", "dim")]
    questions: dict[int, list[Sample]] = {}
    for sample in state.samples:
        questions.setdefault(sample.index, []).append(sample)
    return [line for samples in questions.values() for line in _question(samples)]


def _question(samples: Sequence[Sample]) -> Iterator[Text]:
    newest = samples[-1]
    yield Text(f"{newest.index + 1}. {one_line(newest.question, QUESTION_CHARACTERS)}", "bold")
    if newest.expected:
        yield _named("expected", newest.expected, "green")
    changes = _changes(samples)
    shown = changes if len(changes) <= MOST_CHANGES else [changes[0], *changes[1 - MOST_CHANGES :]]
    for sample, last in reversed(shown):
        name = "untrained" if sample.step == 0 else f"step {sample.step:,}"
        same = f" [the same until step {last:,}]" if last > sample.step else ""
        hit = " [as expected]" if newest.expected and sample.answer.strip() == newest.expected.strip() else ""
        yield _named(name, sample.answer or "(nothing)", "").append(same + hit, "dim")
    yield Text("")


def _changes(samples: Sequence[Sample]) -> list[tuple[Sample, int]]:
    """Give each answer that differs from the one before, with the last step that gave it."""
    found: list[tuple[Sample, int]] = []
    for sample in samples:
        if found and found[-1][0].answer == sample.answer:
            found[-1] = (found[-1][0], sample.step)
        else:
            found.append((sample, sample.step))
    return found


def _named(name: str, text: str, style: str) -> Text:
    return Text(f"  {name:<{NAME}}", "dim").append(one_line(text, ANSWER_CHARACTERS), style)
