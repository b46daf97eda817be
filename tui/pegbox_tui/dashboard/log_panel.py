"""The worker's log: its end as it grows, and back to its beginning a part at a time."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.binding import Binding, BindingType
from textual.message import Message

from pegbox_runs.run_folder import RunFolder
from pegbox_tui.dashboard.explanations import PANELS
from pegbox_tui.dashboard.logs import WINDOW_BYTES, LogPart, read_part
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.shell.sheet import TAB_CELLS, Sheet

READ_SECONDS = 1.0
"""Between two looks at a log that is shown."""


@dataclass
class LogRead(Message):
    """A part of the log was read. The newest may replace those still queued."""

    part: LogPart
    top: int | None
    """Which line of the part shall be the first that is seen; None: its end."""

    def can_replace(self, message: Message) -> bool:
        """Let a newer part stand for this one."""
        return isinstance(message, LogRead)


class LogPanel(Sheet):
    """Follows the end of worker.log while it is shown, until somebody scrolls back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("home", "oldest", show=False),
        Binding("end", "newest", show=False),
    ]

    def __init__(self, folder: RunFolder) -> None:
        super().__init__(id="log", classes="panel")
        self.border_title = "worker.log"
        self._path = folder.log
        self._following = True
        self._part = LogPart()
        self._rows: list[int] = []
        """Of each line of the part, the row that it begins at."""
        self._reading = threading.Lock()
        self._left = threading.Event()
        self._read_at = 0.0

    def on_unmount(self) -> None:
        """Let the reading thread go."""
        self._left.set()

    def explanation(self) -> Explanation | None:
        """Explain the log."""
        return PANELS["log"]

    def look(self) -> None:
        """Read what is new, if it is shown, followed, and some time has passed."""
        if self.display and self._following and time.monotonic() >= self._read_at + READ_SECONDS:
            self._read(None, None)

    def on_show(self) -> None:
        """Read at once."""
        self._read_at = 0.0
        self.look()

    def on_log_read(self, message: LogRead) -> None:
        """Show a part."""
        self._part = message.part
        self._write(message.top)

    def on_resize(self) -> None:
        """Break the lines anew."""
        self._write(None if self._following else self._line_on_top())

    def action_scroll_lines(self, lines: int) -> None:
        """Scroll; behind the part's edge lies the next part."""
        before = self.top
        super().action_scroll_lines(lines)
        self._scrolled(before, lines)

    def action_scroll_pages(self, pages: int) -> None:
        """Scroll; behind the part's edge lies the next part."""
        before = self.top
        super().action_scroll_pages(pages)
        self._scrolled(before, pages)

    def action_oldest(self) -> None:
        """Go to the file's first line."""
        self._following = False
        self._read(WINDOW_BYTES, 0)

    def action_newest(self) -> None:
        """Go to the file's end, and follow it."""
        self._following = True
        self._read(None, None)

    def _scrolled(self, before: int, direction: int) -> None:
        moved = self.top != before
        if direction < 0:
            self._following = False
            if not moved and self._part.begin > 0:
                # Half of what is shown stays, so that the eye finds its place.
                line = len(self._part.lines) // 2
                end = self._part.begin + sum(len(t.encode()) + 1 for t in self._part.lines[:line])
                self._read(max(end, WINDOW_BYTES), None, before=self._part.begin)
        elif not moved:
            if self._part.at_end:
                self._following = True
            else:
                self._read(self._part.end + WINDOW_BYTES // 2, None, before=self._part.end)
        self._write_title()

    @work(thread=True, group="log")
    def _read(self, end: int | None, top: int | None, before: int | None = None) -> None:
        """Read a part that ends at a byte. `before`: a byte that shall be seen, where it goes on from another part."""
        with self._reading:
            if self._left.is_set():
                return
            part = read_part(self._path, end)
            self._read_at = time.monotonic()
            if before is not None:
                share = (before - part.begin) / max(part.end - part.begin, 1)
                top = round(share * len(part.lines))
            self.post_message(LogRead(part, top))

    def _write(self, top: int | None) -> None:
        if not self.content_size:
            return
        part = self._part
        if part.trouble is not None:
            self.put([Text(part.trouble)], top=0)
            return
        width, rows = self.text_width, list[Text]()
        self._rows = []
        for line in (told.expandtabs(TAB_CELLS) for told in part.lines):
            self._rows.append(len(rows))
            rows += [Text(line)] if len(line) <= width and line.isascii() else self.wrapped(Text(line))
        if not rows:
            rows = [Text("the worker has printed nothing", "dim")]
        first = len(rows) if top is None else self._rows[min(top, len(self._rows) - 1)] if self._rows else 0
        self.put(rows, top=first)
        self._write_title()

    def _line_on_top(self) -> int:
        return max(sum(1 for row in self._rows if row <= self.top) - 1, 0)

    def _write_title(self) -> None:
        part = self._part
        where = "following" if self._following else f"{100 * part.begin // max(part.size, 1)} %, end follows"
        self.border_title = f"worker.log, {part.size:,} bytes, {where}"
