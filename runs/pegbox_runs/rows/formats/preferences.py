"""Rows that compare answers: what shows it, and what can be done with them here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pegbox_runs.rows.formats.names import PAIRS, SURE_CONVERSATION_KEYS, VERDICT_KEYS, by_plain_name
from pegbox_runs.rows.formats.understanding import quoted

RIVALS = (
    ("chosen", "rejected"),
    ("chosen_response", "rejected_response"),
    ("preferred_output", "non_preferred_output"),  # OpenAI
    ("messages", "rejected_response"),  # ms-swift
    ("accepted", "rejected"),
    ("preferred", "dispreferred"),
    ("response_0", "response_1"),  # PKU-SafeRLHF
    ("response_1", "response_2"),  # HelpSteer
    ("response_a", "response_b"),
    ("answer_0", "answer_1"),  # WebGPT
    ("conversation_a", "conversation_b"),  # Chatbot Arena
    ("human_ref_a", "human_ref_b"),  # Stanford Human Preferences
    ("completion_a", "completion_b"),
    ("output_1", "output_2"),  # AlpacaFarm
)
"""Keys of two answers to one question; where one is the better, it comes first."""
VERDICTED_FIRST = 6
"""So many of RIVALS say by their names which is the better."""

CANDIDATES = ("completions", "responses", "candidates", "outputs", "generations", "answers")
RANKS = ("rank", "ranks", "ranking", "scores", "ratings", "rewards")
SCORED = ("overall_score", "score", "rank", "rating", "reward")
"""Inside a candidate, as in UltraFeedback."""


class Preference(NamedTuple):
    """Why a row is taken for a preference."""

    evidence: str
    """A clause's object: `"chosen" beside "rejected"`."""
    advice: str
    """One sentence."""


def preference(row: Mapping[str, Any]) -> Preference | None:
    """Say whether a row compares answers or judges one; None: it doesn't."""
    names = by_plain_name(row)
    for place, (better, worse) in enumerate(RIVALS):
        if better in names and worse in names:
            shown = f"{quoted(names[better])} beside {quoted(names[worse])}"
            return Preference(shown, _mapping_advice(row, names, names[better], sure=place < VERDICTED_FIRST))
    for key in CANDIDATES:
        if key in names and _ranked(row, names, row[names[key]]):
            advice = "Keep the best answer of each row in a column of its own, beside the question."
            return Preference(f"several ranked answers in {quoted(names[key])}", advice)
    verdict = verdict_key(row)
    if verdict is not None and (
        any(key in names for key in SURE_CONVERSATION_KEYS) or any(_has_pair(names, pair) for pair in PAIRS.values())
    ):
        advice = (
            f"Keep the rows in which {quoted(verdict)} is true and remove that key; or, if it means something else, "
            "name the other columns in rows.columns."
        )
        return Preference(f"an answer beside {quoted(verdict)}, which is true or false", advice)
    return None


def verdict_key(row: Mapping[str, Any]) -> str | None:
    """Find the key that says whether an answer is a good one."""
    names = by_plain_name(row)
    return next((names[key] for key in VERDICT_KEYS if key in names and isinstance(row[names[key]], bool)), None)


def _mapping_advice(row: Mapping[str, Any], names: Mapping[str, str], better: str, *, sure: bool) -> str:
    """Say which columns to map if the better answers are to be learned."""
    prompt = next((names[key] for questions, _ in PAIRS.values() for key in questions if key in names), None)
    if not sure or (prompt is not None and isinstance(row[prompt], Mapping)):
        return "Put the better answer of each row into a column of its own, beside the question."
    value = row[better]
    whole = isinstance(value, Sequence) and not isinstance(value, str) and (len(value) > 1 or prompt is None)
    if whole:
        columns = f"messages = {quoted(better)}"
    elif prompt is None:
        columns = f"text = {quoted(better)}"
    else:
        columns = f"prompt = {quoted(prompt)}, completion = {quoted(better)}"
    return f"To learn the better answers alone, write rows.columns = {{ {columns} }}."


def _has_pair(names: Mapping[str, str], pair: tuple[tuple[str, ...], tuple[str, ...]]) -> bool:
    questions, answers = pair
    return any(key in names for key in questions) and any(key in names for key in answers)


def _ranked(row: Mapping[str, Any], names: Mapping[str, str], answers: object) -> bool:
    if not isinstance(answers, Sequence) or isinstance(answers, str) or len(answers) < 2:
        return False
    if all(isinstance(answer, Mapping) and any(key in answer for key in SCORED) for answer in answers):
        return True
    ranks = [row[names[key]] for key in RANKS if key in names]
    return any(isinstance(rank, Sequence) and len(rank) == len(answers) for rank in ranks)
