"""Would something simpler do than fine-tuning? A few questions, and what published guides make of the answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

Asked = Literal["facts", "manner", "tried", "leaner"]
"""The questions, by a short name."""
QUESTIONS: tuple[Asked, ...] = get_args(Asked)
IN_WORDS: Mapping[Asked, str] = {
    "facts": "Must it know facts that change, or that only you have?",
    "manner": "Is it about how it answers: style, format, a fixed task?",
    "tried": "Have you tried a prompt with five of your rows in it?",
    "leaner": "Do you want short prompts, or a small model for the job?",
}

ACCURACY = "OpenAI, Optimizing LLM accuracy (guide)"
TUNING = "OpenAI, Fine-tuning (guide)"
OVADIA = "Ovadia et al. 2023, Fine-Tuning or Retrieval?, arXiv:2312.05934"
LIMA = "Zhou et al. 2023, LIMA, arXiv:2305.11206"
LEARNS_LESS = "Biderman et al. 2024, LoRA Learns Less and Forgets Less, arXiv:2405.09673"

FEWEST_ROWS = 50
"""Below this a prompt may hold the best of them. Source: OpenAI's guide, which sees clear gains from 50 to 100 rows."""


class Instead(msgspec.Struct, frozen=True, kw_only=True):
    """A plain recommendation. It stops nobody."""

    verdict: Literal["retrieval", "both", "prompt", "more rows", "doubtful", "tune", "open"]
    text: str
    """One or two sentences."""
    source: str


def instead(answers: Mapping[str, bool], rows: int | None) -> Instead:
    """Say whether prompting or retrieval would do instead of fine-tuning.

    `answers`: yes or no by a question's name, without those that weren't answered; `rows`: how many there are to train
    on, None where that isn't known.
    """
    facts, manner, tried = (answers.get(asked) for asked in ("facts", "manner", "tried"))
    if facts and manner:
        return Instead(
            verdict="both",
            text="Both: look the facts up and put them into the prompt (retrieval), and train only how it answers. "
            "Rows with the facts already in the question teach just that.",
            source=ACCURACY,
        )
    if facts:
        return Instead(
            verdict="retrieval",
            text="Retrieval fits better: looking facts up and putting them into the prompt beat training them in, and "
            "a changed fact is a changed file, not a new run.",
            source=OVADIA,
        )
    if tried is False:
        return Instead(
            verdict="prompt",
            text="Try a prompt first: it takes minutes, and shows what the model already can. Tune if five good "
            "examples in the prompt aren't enough; you'll know then what to measure against.",
            source=ACCURACY,
        )
    if rows is not None and rows < FEWEST_ROWS:
        return Instead(
            verdict="more rows",
            text=f"{rows} rows are few: put the best of them into the prompt, or bring more. From {FEWEST_ROWS} to "
            "100 good ones a tune usually shows.",
            source=TUNING,
        )
    return _of_the_rest(answers)


def _of_the_rest(answers: Mapping[str, bool]) -> Instead:
    """Judge what neither facts, an untried prompt, nor too few rows decide."""
    if answers.get("manner"):
        return Instead(
            verdict="tune",
            text="Fine-tuning fits: style, format and a fixed task are what it teaches well, and a thousand careful "
            "rows can be enough.",
            source=f"{ACCURACY}; {LIMA}",
        )
    if answers.get("leaner"):
        return Instead(
            verdict="tune",
            text="Fine-tuning fits: what stands in a long prompt can be learned, so that prompts get short and a "
            "smaller model does the job.",
            source=TUNING,
        )
    if answers.get("manner") is False:
        return Instead(
            verdict="doubtful",
            text="For knowledge alone, expect little of an adapter: it learns less of a new domain than tuning all "
            "weights does, and retrieval may serve you better.",
            source=f"{LEARNS_LESS}; {OVADIA}",
        )
    return Instead(verdict="open", text="Answer what you can: y for yes, n for no. Nothing depends on it.", source="")
