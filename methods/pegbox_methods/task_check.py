"""What is wrong with a task: a guest's is read with care before anything relies on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pegbox_methods.card_check import NAME, function_faults, kind_of, line_faults
from pegbox_methods.task import Task

MOST_TOKENS = 32768
"""Of an answer; what asks for more is a slip."""


def task_faults(task: object) -> Iterator[str]:
    """Find what is wrong with a task, each as a clause that names the field. Its rows aren't read."""
    if not isinstance(task, Task):
        yield f"it answers the hook pegbox_task with {kind_of(task)} in place of a Task"
        return
    for field in ("name", "summary"):
        yield from line_faults(f"task.{field}", getattr(task, field))
    if isinstance(task.name, str) and not NAME.fullmatch(task.name):
        yield f"task.name = {task.name!r}: expected small letters, digits and hyphens"
    if isinstance(task.rows, str) or not (isinstance(task.rows, Path) or callable(task.rows)):
        yield f"task.rows: expected a Path or a function, got {kind_of(task.rows)}"
    elif not isinstance(task.rows, Path):
        yield from function_faults("task.rows", task.rows)
    yield from function_faults("task.score", task.score, "answer", "expected")
    if not isinstance(task.higher_is_better, bool):
        yield f"task.higher_is_better: expected True or False, got {kind_of(task.higher_is_better)}"
    if type(task.max_tokens) is not int or not 1 <= task.max_tokens <= MOST_TOKENS:
        yield f"task.max_tokens = {task.max_tokens!r:.60}: expected a whole number from 1 to {MOST_TOKENS}"
