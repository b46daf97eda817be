"""The form: a line for each setting, changed by arrow keys, typed over, put back; drawn line by line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from pegbox_runs.printable import one_line
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.wizard.settings.explaining import explained_line
from pegbox_tui.wizard.settings.lines import FormLine
from pegbox_tui.wizard.settings.stepping import Direction
from pegbox_tui.wizard.settings.typed import write_value

TITLE_CELLS = 27
VALUE_CELLS = 22
LEAST_VALUE_CELLS = 15
"""Of a column that is narrow: a note has more of the line then."""
NOTE_CELLS = 30
"""Where a line has less for its note, the column of the values is as narrow as they are."""
CLAUSE_ENDS = (": ", ", ", "; ")
UNSPOKEN = frozenset(("", "norm", "seed", "per step"))
"""Units that say nothing beside the setting's name."""
COUNTED = frozenset(("rows", "epochs", "steps", "tokens", "checkpoints", "restarts"))
"""Units of which one is one less letter."""
BEGINS_TYPING = frozenset("0123456789.-+[")


@dataclass(frozen=True)
class Drawn:
    """One line of the widget: a heading, or a setting by its number."""

    heading: str = ""
    number: int = -1


class SettingsForm(ScrollView, can_focus=True):
    """Tells what the person wants changed; what comes of it is shown by `show`."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"form--heading", "form--cursor", "form--set", "form--note", "form--fault"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "move(-10)", show=False),
        Binding("pagedown", "move(10)", show=False),
        Binding("home", "move(-1000)", show=False),
        Binding("end", "move(1000)", show=False),
        Binding("left", "step(-1)", show=False),
        Binding("right", "step(1)", "Change", key_display="←→"),
        Binding("enter", "open", "Type", key_display="↵"),
        Binding("backspace,delete", "put_back", "Advised", key_display="Bksp"),
    ]

    @dataclass
    class Stepped(Message):
        """The person wants the next value in a direction."""

        line: FormLine
        direction: Direction

    @dataclass
    class Opened(Message):
        """The person wants to type a value, or has begun to."""

        line: FormLine
        typed: str = ""

    @dataclass
    class PutBack(Message):
        """The person wants the advised value back."""

        line: FormLine

    @dataclass
    class Moved(Message):
        """Another line is chosen."""

        line: FormLine

        def can_replace(self, message: Message) -> bool:
            """Let the newest stand for those still queued."""
            return isinstance(message, SettingsForm.Moved)

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._lines: tuple[FormLine, ...] = ()
        self._drawn: tuple[Drawn, ...] = ()
        self._cursor = 0

    @property
    def line(self) -> FormLine | None:
        """The line that is chosen."""
        return self._lines[self._cursor] if self._lines else None

    def explanation(self) -> Explanation | None:
        """Explain the chosen line."""
        return None if self.line is None else explained_line(self.line)

    def show(self, lines: Sequence[FormLine], *, headings: bool) -> None:
        """Show lines anew; the cursor stays on its setting, or as near as can be."""
        before = self.line
        changed = [number for number, line in enumerate(lines) if self._lines[number : number + 1] != (line,)]
        keys = [line.field.key for line in lines]
        same = keys == [line.field.key for line in self._lines] and headings == any(one.heading for one in self._drawn)
        self._lines = tuple(lines)
        if same:
            for number in changed:
                self._refresh(number)
            return
        drawn: list[Drawn] = []
        for number, line in enumerate(lines):
            if headings and (number == 0 or lines[number - 1].field.heading != line.field.heading):
                drawn.append(Drawn(heading=line.field.heading))
            drawn.append(Drawn(number=number))
        self._drawn = tuple(drawn)
        if before is not None and before.field.key in keys:
            self._cursor = keys.index(before.field.key)
        self._cursor = max(0, min(self._cursor, len(lines) - 1))
        self.virtual_size = Size(1, len(drawn))
        self.refresh()
        self._see_cursor()

    def render_line(self, y: int) -> Strip:
        """Draw one line."""
        number = y + self.scroll_offset.y
        width = self.size.width
        if number >= len(self._drawn):
            return Strip.blank(width, self.rich_style)
        drawn = self._drawn[number]
        if drawn.heading:
            style = self.get_component_rich_style("form--heading")
            return Strip([Segment(set_cell_size(f" {drawn.heading}", width), style)], width)
        return self._line_strip(drawn.number, width)

    def _line_strip(self, number: int, width: int) -> Strip:
        line = self._lines[number]
        chosen = number == self._cursor
        base = self.get_component_rich_style("form--cursor") if chosen and self.has_focus else self.rich_style
        title = set_cell_size(f"{'>' if chosen else ' '} {line.field.title}", TITLE_CELLS)
        value = _value(line, chosen=chosen)
        column = VALUE_CELLS if width - TITLE_CELLS - VALUE_CELLS >= NOTE_CELLS else LEAST_VALUE_CELLS
        cells = max(column, min(cell_len(value) + 1, width - TITLE_CELLS))
        room = self.scrollable_content_region.width - TITLE_CELLS - cells
        note = note_within(one_line(line.note, 200), room)
        told: Literal["form--fault", "form--note"] = "form--fault" if line.mark == "fault" else "form--note"
        parts = [
            Segment(title, base),
            Segment(set_cell_size(value, cells), base + self._mark_style(line)),
            Segment(set_cell_size(note, max(0, width - TITLE_CELLS - cells)), base + self._own(told)),
        ]
        return Strip(parts).adjust_cell_length(width, base)

    def _mark_style(self, line: FormLine) -> Style:
        return self._own("form--set") if line.mark in ("yours", "fault") else Style()

    def _own(self, name: str) -> Style:
        """Give what a component's style adds; the line has its background already."""
        return self.get_component_rich_style(name, partial=True)

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self._go(max(0, min(self._cursor + by, len(self._lines) - 1)))

    def action_step(self, direction: Direction) -> None:
        """Ask for the next value."""
        if self.line is not None:
            opens = self.line.field.kind in ("method", "text", "wholes") or (
                self.line.field.kind == "names" and not self.line.field.choices
            )
            self.post_message(SettingsForm.Opened(self.line) if opens else SettingsForm.Stepped(self.line, direction))

    def action_open(self) -> None:
        """Ask for a field to type into."""
        if self.line is not None:
            self.post_message(SettingsForm.Opened(self.line))

    def action_put_back(self) -> None:
        """Ask for the advised value."""
        if self.line is not None:
            self.post_message(SettingsForm.PutBack(self.line))

    def check_consume_key(self, key: str, character: str | None) -> bool:  # noqa: ARG002 - the base class's
        """Tell that a digit types over a number, and then goes to no step."""
        typed = self.line is not None and self.line.field.kind in ("whole", "number", "wholes")
        return typed and character is not None and character in BEGINS_TYPING

    def on_key(self, event: events.Key) -> None:
        """Begin to type over a number."""
        if self.line is not None and self.check_consume_key(event.key, event.character):
            event.stop()
            self.post_message(SettingsForm.Opened(self.line, event.character or ""))

    def on_click(self, event: events.Click) -> None:
        """Choose a line; on the chosen one, its arrows and its value."""
        place = event.get_content_offset(self)
        if place is None:
            return
        number = place.y + self.scroll_offset.y
        if not 0 <= number < len(self._drawn) or self._drawn[number].heading:
            return
        wanted = self._drawn[number].number
        if wanted != self._cursor:
            self._go(wanted)
            return
        value = _value(self._lines[wanted], chosen=True)
        at = place.x - TITLE_CELLS
        if value.startswith("←") and 0 <= at < 2:
            self.action_step(-1)
        elif value.startswith("←") and cell_len(value) - 2 <= at < cell_len(value):
            self.action_step(1)
        elif at >= 0:
            self.action_open()

    def watch_has_focus(self, _value: bool) -> None:
        """Draw the cursor as it is now."""
        super().watch_has_focus(_value)
        self._refresh(self._cursor)

    def _go(self, number: int) -> None:
        if not self._lines or number == self._cursor:
            return
        before, self._cursor = self._cursor, number
        self._refresh(before)
        self._refresh(number)
        self._see_cursor()
        self.post_message(SettingsForm.Moved(self._lines[number]))

    def _at(self, number: int) -> int:
        return next((place for place, drawn in enumerate(self._drawn) if drawn.number == number), 0)

    def _refresh(self, number: int) -> None:
        self.refresh(Region(0, self._at(number) - self.scroll_offset.y, self.size.width, 1))

    def _see_cursor(self) -> None:
        """Scroll to the cursor, and to the heading right above it."""
        place = self._at(self._cursor)
        above = place - 1 if place and self._drawn[place - 1].heading else place
        self.scroll_to_region(Region(0, above, 1, place - above + 1), animate=False, force=True, immediate=True)


def note_within(note: str, cells: int) -> str:
    """Shorten a note to what has room: whole clauses of it, or its beginning. Below the form stands all of it."""
    if cell_len(note) <= cells:
        return note
    ends = (at for end in CLAUSE_ENDS for at in range(len(note)) if note.startswith(end, at))
    for at in sorted(ends, reverse=True):
        if cell_len(note[:at]) <= cells and not note[:at].endswith("advised"):  # it would name no value
            return note[:at]
    return f"{set_cell_size(note, cells - 1)}…" if cells > 1 else ""


def _value(line: FormLine, *, chosen: bool) -> str:
    """Write a value with its unit, and on the chosen line what the keys do."""
    said = one_line(write_value(line.value), 60)
    if line.value is not None and line.field.kind in ("whole", "number") and line.field.unit not in UNSPOKEN:
        unit = one_line(line.field.unit, 20)
        said += f" {unit[:-1] if line.value == 1 and unit in COUNTED else unit}"
    if not chosen:
        return f"  {said}"
    if line.field.kind in ("whole", "number", "switch", "choice") or line.field.choices:
        return f"← {said} →"
    return f"↵ {said}"
