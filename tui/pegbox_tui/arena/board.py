"""The leaderboard: titles and the base model, which stay, and the contestants, who scroll."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message

from pegbox_tui.arena.columns import Placed, base_line, line_of, placed, sort_at, titles
from pegbox_tui.arena.keys import CHOOSING
from pegbox_tui.arena.panes import Pane
from pegbox_tui.arena.rows import IN_WORDS, rows_of
from pegbox_tui.arena.view import Scene, Sort
from pegbox_tui.shell.sheet import Sheet


class HeadLines(Sheet, can_focus=False):
    """The columns' titles, and row zero."""

    @dataclass
    class SortAsked(Message):
        """The list shall be sorted by another column."""

        sort: Sort

    def __init__(self) -> None:
        super().__init__(id="heads")
        self._columns: tuple[Placed, ...] = ()

    def show(self, scene: Scene, columns: tuple[Placed, ...]) -> None:
        """Write them for these columns."""
        self._columns = columns
        results = scene.watched.results
        self.put([titles(columns, scene.view.sort), base_line(results.base if results else None, columns)], top=0)

    def on_click(self, event: events.Click) -> None:
        """Sort by the column whose title was clicked."""
        at = event.get_content_offset(self)
        sort = sort_at(at.x, self._columns) if at is not None and at.y == 0 else None
        if sort is not None:
            self.post_message(self.SortAsked(sort))


class BoardPane(Pane):
    """The contestants, a line each."""

    name_here = "board"
    BINDINGS: ClassVar[list[BindingType]] = CHOOSING

    @dataclass
    class Chosen(Message):
        """A line was clicked."""

        name: str
        opened: bool
        """Whether twice."""

    def __init__(self) -> None:
        super().__init__()
        self._names: list[str] = []

    def name_it(self, title: str) -> None:
        """Write it above the titles, which belong to the list."""
        self.screen.query_one(HeadLines).border_title = Text(title)

    def title_of(self, scene: Scene) -> str:
        """Say in which order."""
        return f"leaderboard, {IN_WORDS[scene.view.sort]}"

    def draw(self, scene: Scene) -> None:
        """Put the lines, so that the chosen one is among those that are seen."""
        rows = rows_of(scene.watched, scene.view.sort)
        before, self._names = self._names, [row.name for row in rows]
        if len(before) != len(self._names):
            self.refresh(layout=True)
        columns = placed(self.text_width, scene.view.sort, self._names)
        lines = []
        for row in rows:
            chosen = row.name == scene.view.chosen
            line = line_of(row, columns, chosen=chosen)
            if chosen:
                line.pad_right(max(0, self.text_width - line.cell_len))
                line.stylize("reverse" if self.has_focus else "bold")
            lines.append(line)
        height = self.content_size.height
        at = self._names.index(scene.view.chosen) if scene.view.chosen in self._names else 0
        self.put(lines, top=min(max(self.top, at - height + 1), at))
        self.screen.query_one(HeadLines).show(scene, columns)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002 - the base class's
        """Take a line for each, where the style sheet lets it be as high as it needs."""
        return max(1, len(self._names))

    def on_focus(self) -> None:
        """Mark the line that the keys move."""
        self._again()

    def on_blur(self) -> None:
        """Mark it less."""
        self._again()

    def _again(self) -> None:
        if self.scene is not None:
            self.show(self.scene)

    def on_click(self, event: events.Click) -> None:
        """Choose a line; open it with a second click."""
        at = event.get_content_offset(self)
        if at is not None and at.y + self.top < len(self._names):
            self.post_message(self.Chosen(self._names[at.y + self.top], opened=event.chain == 2))
