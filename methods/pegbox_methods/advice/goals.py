"""What the user wants, and the rules of thumb that follow from it, each with whose word it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import msgspec

from pegbox_methods.refusal import Refusal, did_you_mean

Priority = Literal["balanced", "quality", "memory", "speed", "small-adapter"]
Purpose = Literal["format", "domain", "reasoning"]
PRIORITIES: tuple[str, ...] = get_args(Priority)
PURPOSES: tuple[str, ...] = get_args(Purpose)

REGRET = "LoRA Without Regret (Thinking Machines, 2025-09)"
UNSLOTH = "Unsloth's LoRA hyperparameters guide (unsloth.ai/docs)"
PREDIBASE = "Predibase's hyperparameter best practices (docs.predibase.com)"
QLORA = "Dettmers et al. 2023, arXiv:2305.14314"


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """What matters, and what the rows teach."""

    priority: Priority = "balanced"
    purpose: Purpose | None = None
    """None: anything; a general task."""


class Rule(msgspec.Struct, frozen=True):
    """A value with its reason."""

    value: int
    why: str
    source: str


def parse_goal(words: Iterable[str]) -> Goal:
    """Read goals as people give them: "quality", or "memory,domain"; one priority and one purpose at most.

    Raises: Refusal: an unknown word, or two of a kind.
    """
    found: dict[str, str] = {}
    for word in (part.strip().lower() for given in words for part in given.split(",") if part.strip()):
        kind = "priority" if word in PRIORITIES else "purpose" if word in PURPOSES else None
        if kind is None:
            known = (*PRIORITIES, *PURPOSES)
            raise Refusal(f"--goal {word}: no such goal; {did_you_mean(word, known)}")
        if found.get(kind, word) != word:
            words_of = PRIORITIES if kind == "priority" else PURPOSES
            raise Refusal(f"--goal: {found[kind]} and {word} exclude each other; take one of {', '.join(words_of)}.")
        found[kind] = word
    return msgspec.convert(found, Goal)


FEW_ROWS = 500
"""Below this, rows don't fill a large adapter and are soon known by heart."""
VERY_FEW_ROWS = 200
MANY_ROWS = 20_000
LARGE_WEIGHTS = 20_000_000_000

PURPOSE_RANK: dict[Purpose | None, Rule] = {
    None: Rule(16, "the usual start for a general task", f"{UNSLOTH}; {PREDIBASE}"),
    "format": Rule(8, "tone and format change little of a model", "Hu et al. 2021, arXiv:2106.09685, section 7.2"),
    "domain": Rule(32, "a domain holds more to learn than a format does", REGRET),
    "reasoning": Rule(32, "long solutions hold more to learn than short answers", REGRET),
}
QUALITY_RANK = Rule(32, "quality first: room to learn more, for little more memory", REGRET)
SMALL_RANK = Rule(8, "the adapter's size is proportional to the rank", "Hu et al. 2021, arXiv:2106.09685, section 4.1")
FEW_ROWS_RANK = Rule(8, f"fewer than {FEW_ROWS} rows don't fill more", "rule of thumb: ranks 4 to 8 for few rows")
LEAST_RANK = Rule(4, f"under {FEW_ROWS} rows, and the smallest adapter is wanted", FEW_ROWS_RANK.source)
RANK_FLOOR = {"rslora": 32}
"""Least rank at which a method is worth while. Source: rsLoRA's card; at 16 and below plain LoRA does as well."""
QUALITY_RANK_OF = {"rslora": 64}
"""Source: PEFT's method_comparison, where rsLoRA of rank 64 is the cheapest gain."""


def wanted_rank(goal: Goal, rows: int | None) -> Rule:
    """Give the rank that goal and rows ask for, before the device's ceiling."""
    rule = PURPOSE_RANK[goal.purpose]
    if goal.priority == "quality" and rule.value < QUALITY_RANK.value and goal.purpose != "format":
        rule = QUALITY_RANK
    few = rows is not None and rows < FEW_ROWS
    if goal.priority in ("small-adapter", "memory"):
        return LEAST_RANK if few and goal.priority == "small-adapter" else SMALL_RANK
    return FEW_ROWS_RANK if few and rule.value > FEW_ROWS_RANK.value else rule


def effective_batch(rows: int | None) -> Rule:
    """Give the rows of one optimizer step: a power of two from 8 to 32, and never more than there are."""
    if rows is None:
        return Rule(16, "the middle of 8 to 32", PREDIBASE)
    most = 1 << (max(1, rows).bit_length() - 1)
    if rows < FEW_ROWS:
        rule = Rule(8, f"{rows} training rows make few steps, and smaller batches make more", REGRET)
    elif rows > MANY_ROWS:
        rule = Rule(32, f"{rows} training rows are enough for calmer steps", PREDIBASE)
    else:
        rule = Rule(16, "the middle of 8 to 32; LoRA bears large batches worse than full tuning", REGRET)
    return rule if rule.value <= most else Rule(most, f"there are only {rows} training rows", "arithmetic")


def epochs(rows: int | None) -> Rule:
    """Give the passes over the rows."""
    if rows is None:
        return Rule(2, "the number of rows isn't known: the middle of 1 to 3", UNSLOTH)
    if rows > MANY_ROWS:
        return Rule(1, f"{rows} rows: a first pass already shows enough", UNSLOTH)
    if rows < 2000:
        return Rule(3, f"{rows} rows are few; more than 3 passes learn them by heart", f"{UNSLOTH}; {PREDIBASE}")
    return Rule(2, f"{rows} rows: the middle of 1 to 3", UNSLOTH)


def overfitting(rows: int) -> str | None:
    """Warn of rows so few that they may be learned by heart; None if there are enough."""
    if rows < VERY_FEW_ROWS:
        return f"only {rows} rows: the model may learn them by heart; watch the held-out loss"
    return f"{rows} rows are few: watch the held-out loss" if rows < FEW_ROWS else None
