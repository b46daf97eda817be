"""What a job of the worker is at, for people: a bar where standard error is a terminal, else a line for each part."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Drawn

from pegbox.answer import say
from pegbox.answer_console import answer_console
from pegbox_methods.events import Event, Notice, Progress
from pegbox_runs.printable import one_line

DOING_WIDTH = 46
"""Characters of what is being done, beside the bar."""


@contextmanager
def job_progress() -> Iterator[Callable[[Event], None]]:
    """Give what hears a job's events. Standard output isn't touched, and nothing is left of a bar."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield _Lines().told
        return
    console = answer_console(stderr=True)
    columns = (
        SpinnerColumn("line"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=12),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Drawn(*columns, console=console, transient=True) as drawn:
        task = drawn.add_task("starting", total=None)

        def told(event: Event) -> None:
            if isinstance(event, Progress):
                doing = one_line(event.doing, DOING_WIDTH)
                drawn.update(task, description=doing, completed=event.done, total=event.of)
            elif isinstance(event, Notice):
                drawn.console.print(one_line(event.text, 500))

        yield told


class _Lines:
    """Says each part once."""

    def __init__(self) -> None:
        self._doing = ""

    def told(self, event: Event) -> None:
        """Hear one event."""
        if isinstance(event, Progress) and event.doing != self._doing:
            self._doing = event.doing
            say(f"{event.doing} ...", json=True)
        elif isinstance(event, Notice):
            say(event.text, json=True)
