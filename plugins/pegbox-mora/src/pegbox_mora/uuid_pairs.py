"""Pairs of random UUIDs: nothing in a model helps with them, so they show how much an adapter can learn by heart.

The paper shows by such pairs that a low rank limits what is learned. Run as a program, this module prints the pairs as
rows to train on.
Source: Jiang et al. 2024, arXiv:2405.12130, section 3.
"""

from __future__ import annotations

import json
import random
import sys
import uuid

from pegbox_methods import Task, TaskRow, hookimpl

PAIRS = 100
SEED = 20240520
CHARACTERS = 36
"""Of a UUID."""


def rows() -> list[TaskRow]:
    """Draw the pairs, the same ones each time."""
    chance = random.Random(SEED)  # noqa: S311  # repeatable, not secret
    drawn = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(2 * PAIRS)]
    return [
        TaskRow(question=f"What belongs to {key}?", expected=value)
        for key, value in zip(drawn[::2], drawn[1::2], strict=True)
    ]


def score(answer: str, expected: str) -> float:
    """Give the share of the characters that stand where they should."""
    said = answer.strip()[:CHARACTERS]
    return sum(one == other for one, other in zip(said, expected, strict=False)) / len(expected)


TASK = Task(
    name="uuid-pairs",
    summary=f"{PAIRS} pairs of random UUIDs, learned by heart or not at all.",
    rows=rows,
    score=score,
    max_tokens=48,
)


@hookimpl
def pegbox_task() -> Task:
    """Bring the task in."""
    return TASK


def main() -> None:
    """Print the pairs as conversations to train on."""
    for row in rows():
        turns = [{"role": "user", "content": row.question}, {"role": "assistant", "content": row.expected}]
        sys.stdout.write(json.dumps({"messages": turns}) + "\n")


if __name__ == "__main__":
    main()
