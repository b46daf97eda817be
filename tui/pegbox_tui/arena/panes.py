"""The arena's panes: each draws its part of a scene, and explains itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from rich.text import Text
from textual import events
from textual.binding import BindingType
from textual.message import Message

from pegbox_tui.arena.card_text import card_lines
from pegbox_tui.arena.curves_text import CurveStore, curves_lines, curves_title
from pegbox_tui.arena.explanations import PANES
from pegbox_tui.arena.keys import CHOOSING
from pegbox_tui.arena.plane_text import plane_lines, plane_title
from pegbox_tui.arena.verdict_text import recommendation, verdict_lines
from pegbox_tui.arena.view import Scene
from pegbox_tui.shell.app import PegboxApp
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.shell.sheet import Sheet


class Pane(Sheet):
    """A titled sheet that is drawn from a scene whenever it is seen."""

    name_here: ClassVar[str]
    """Its id, and its key among the explanations."""

    def __init__(self) -> None:
        super().__init__(id=self.name_here, classes="pane")
        self.scene: Scene | None = None

    def show(self, scene: Scene) -> None:
        """Draw a scene, if the pane is on the screen; else when it comes there."""
        self.scene = scene
        if self.display and self.content_size:
            self.name_it(self.title_of(scene))
            self.draw(scene)

    def name_it(self, title: str) -> None:
        """Write the pane's title."""
        self.border_title = Text(title)

    def title_of(self, scene: Scene) -> str:
        """Say what is shown."""
        raise NotImplementedError

    def draw(self, scene: Scene) -> None:
        """Put the lines."""
        raise NotImplementedError

    def broken(self, lines: Sequence[Text]) -> list[Text]:
        """Break lines that are too long."""
        return [part for line in lines for part in (self.wrapped(line) or [Text("")])]

    @property
    def ascii(self) -> bool:
        """Whether only ASCII may be drawn."""
        return cast("PegboxApp[Any]", self.app).look.ascii

    def explanation(self) -> Explanation | None:
        """Explain the pane."""
        return PANES.get(self.name_here)

    def on_resize(self) -> None:
        """Draw for the new size."""
        if self.scene is not None:
            self.show(self.scene)


class CurvesPane(Pane):
    """Everybody's evaluations."""

    name_here = "curves"
    BINDINGS: ClassVar[list[BindingType]] = CHOOSING

    def __init__(self) -> None:
        super().__init__()
        self._store = CurveStore()

    def title_of(self, scene: Scene) -> str:
        """Say which seeds, and which steps."""
        return curves_title(scene)

    def draw(self, scene: Scene) -> None:
        """Put the curves."""
        height = self.content_size.height
        self.put(curves_lines(scene, self._store, self.text_width, height, ascii=self.ascii), top=0)


class PlanePane(Pane):
    """Loss against a cost."""

    name_here = "plane"
    BINDINGS: ClassVar[list[BindingType]] = CHOOSING

    def title_of(self, scene: Scene) -> str:
        """Say which cost."""
        return plane_title(scene)

    def draw(self, scene: Scene) -> None:
        """Put the plane."""
        self.put(plane_lines(scene, self.text_width, self.content_size.height, ascii=self.ascii), top=0)


class CardPane(Pane):
    """All of the chosen contestant."""

    name_here = "card"

    def __init__(self) -> None:
        super().__init__()
        self._shown: str | None = None

    def title_of(self, scene: Scene) -> str:
        """Name it."""
        return "contestant" if scene.chosen is None else f"contestant {scene.chosen.name} · j, k: the others"

    def draw(self, scene: Scene) -> None:
        """Put its facts, from the first on where it is another one than before."""
        other = scene.view.chosen != self._shown
        self._shown = scene.view.chosen
        self.put(self.broken(card_lines(scene)), top=0 if other else None)


class VerdictPane(Pane):
    """What may be said."""

    name_here = "verdict"

    def title_of(self, scene: Scene) -> str:  # noqa: ARG002 - as the others
        """Leave it to the sentence whether it is the last word."""
        return "verdict"

    def draw(self, scene: Scene) -> None:
        """Put it all."""
        self.put(self.broken(verdict_lines(scene)))


class NotePane(Pane, can_focus=False):
    """The recommendation, as far as there is room: the verdict has all of it."""

    name_here = "note"

    @dataclass
    class Asked(Message):
        """All of it is wanted."""

    def title_of(self, scene: Scene) -> str:  # noqa: ARG002 - as the others
        """Say where the rest is."""
        return "verdict, in full: 5"

    def draw(self, scene: Scene) -> None:
        """Put as many lines as fit; that something is missing is told."""
        lines, height = self.broken([recommendation(scene)]), self.content_size.height
        if len(lines) > height > 0:
            lines = lines[:height]
            lines[-1].truncate(max(1, self.text_width - 1))
            lines[-1].append("…")
        self.put(lines, top=0)

    def on_click(self, event: events.Click) -> None:
        """Ask for all of it."""
        event.stop()
        self.post_message(self.Asked())
