"""Everybody's evaluations over each other, the chosen one's on top."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from rich.text import Text

from pegbox_runs.arena.watching.watch import Contestant, EntryNow
from pegbox_runs.curve import Curve
from pegbox_tui.arena.figures import nats, rate
from pegbox_tui.arena.letters import Sign, signs_of
from pegbox_tui.arena.rows import rows_of
from pegbox_tui.arena.view import Scene
from pegbox_tui.chart.canvas import Ink
from pegbox_tui.chart.picture import Line, Mark, Plot, drawn
from pegbox_tui.chart.window import Window

MOST_LINES = 24
"""Beyond so many only the first seed of each contestant is drawn, but for the chosen one's."""
LETTERS_EACH = 3
FEW_POINTS = 12
"""Up to so many points each of the chosen one's is marked."""


class CurveStore:
    """Keeps the curves that were made of entries' evaluations, as long as those are the same."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[object, Curve]] = {}

    def of(self, one: EntryNow) -> Curve:
        """Give an entry's curve."""
        points = one.outcome.curve
        kept = self._kept.get(one.entry.id)
        if kept is None or kept[0] != points:
            steps = [step for step, _ in points]
            ascending = all(before < after for before, after in pairwise(steps))
            points_drawn = points if ascending else tuple(sorted(dict(points).items()))
            made = Curve().after([step for step, _ in points_drawn], [loss for _, loss in points_drawn])
            kept = self._kept[one.entry.id] = (points, made)
        return kept[1]


def curves_title(scene: Scene) -> str:
    """Say what is drawn."""
    seeds = scene.watched.comparison.seeds if scene.watched.comparison else ()
    said = ["held-out loss"]
    if len(seeds) > 1:
        said.append(f"all {len(seeds)} seeds" if scene.seed is None else f"seed {scene.seed} alone")
    if scene.view.zoom:
        said.append(f"the last 1/{2**scene.view.zoom} of the steps, z shows all")
    return " · ".join(said)


def curves_lines(
    scene: Scene,
    store: CurveStore,
    width: int,
    height: int,
    *,
    ascii: bool,  # noqa: A002 - Look's own word
) -> list[Text]:
    """Draw them, below a line that says whose is whose."""
    signs = signs_of(scene.watched)
    shown = list(_shown(scene))
    tries = [] if scene.chosen is None or scene.chosen.finals else list(scene.chosen.trials)
    if not shown and not any(one.outcome.curve or one.loss is not None for one in tries):
        return [Text(""), Text("nobody was evaluated yet", "dim")]
    lines: list[Line] = []
    marks: list[Mark] = []
    for place, (one, entry) in enumerate(shown):
        sign, chosen, curve = signs[one.name], one.name == scene.view.chosen, store.of(entry)
        ink = Ink(f"bold {sign.color}", 1, "*") if chosen else Ink(sign.color)
        lines.append(Line(ink, curve, thin=not chosen and len(shown) > 1))
        marks += _letters(entry, sign, place, len(shown), chosen=chosen)
    for number, tried in enumerate(tries, start=1):
        marks += [Mark(step, loss, str(number % 10), "bold") for step, loss in tried.outcome.curve]
        if not tried.outcome.curve and tried.loss is not None:
            marks.append(Mark(tried.entry.steps, tried.loss, str(number % 10), "bold"))
    window = window_of(marks, lines, scene.view.zoom)
    top = tries_line(scene.chosen, tries) if tries and scene.chosen else legend(scene, signs)
    top.truncate(width)
    return [top, *drawn(Plot(lines, (), None, window, False, marks=marks), width, height - 1, ascii=ascii)]


def window_of(marks: Sequence[Mark], lines: Sequence[Line], zoom: int) -> Window:
    """Give the steps that are shown: all, or their later part."""
    ends = [line.curve.ends[1] for line in lines if line.curve.ends] + [mark.step for mark in marks]
    newest = max(ends, default=0)
    whole = Window.whole(newest)
    return whole if not zoom else Window(newest - newest // 2**zoom, whole.end)


def _shown(scene: Scene) -> Iterator[tuple[Contestant, EntryNow]]:
    """Give whose curves are drawn, the chosen one's last: over the others'."""
    contestants = sorted(scene.watched.contestants, key=lambda one: one.name == scene.view.chosen)
    many = sum(len(one.finals) for one in contestants) > MOST_LINES
    for one in contestants:
        finals = [entry for entry in one.finals if entry.outcome.curve]
        if scene.seed is not None:
            finals = [entry for entry in finals if entry.entry.seed == scene.seed]
        elif many and one.name != scene.view.chosen:
            finals = finals[:1]
        yield from ((one, entry) for entry in finals)


def _letters(entry: EntryNow, sign: Sign, place: int, count: int, *, chosen: bool) -> Iterator[Mark]:
    """Mark a curve by its letter at a few of its points, others at others."""
    points = entry.outcome.curve
    if chosen and len(points) <= FEW_POINTS:
        numbers = {*range(len(points))}
    else:
        shares = [(part + (place + 0.5) / count) / LETTERS_EACH for part in range(LETTERS_EACH)]
        numbers = {min(len(points) - 1, round(share * (len(points) - 1))) for share in shares}
        numbers |= {len(points) - 1} if chosen else set()
    style = f"bold {sign.color}"
    for number in sorted(numbers):
        step, loss = points[number]
        yield Mark(step, loss, sign.letter, f"{style} reverse" if chosen else style)


def legend(scene: Scene, signs: dict[str, Sign]) -> Text:
    """Tell each letter, the chosen one first, then by place."""
    text = Text(no_wrap=True, end="")
    rows = sorted(rows_of(scene.watched, "place"), key=lambda row: row.name != scene.view.chosen)
    for row in (row for row in rows if any(one.outcome.curve for one in row.contestant.finals)):
        chosen = row.name == scene.view.chosen
        sign = signs[row.name]
        text.append(f"{sign.letter} {row.name}", f"bold {sign.color}{' reverse' if chosen else ''}")
        text.append(f" {nats(row.loss)}  " if chosen else "  ")
    return text


def tries_line(chosen: Contestant, tries: Sequence[EntryNow]) -> Text:
    """Tell the tries of the chosen one, by their numbers."""
    text = Text(f"{chosen.name} tries, rate and loss: ", "bold", no_wrap=True, end="")
    for number, one in enumerate(tries, start=1):
        text.append(f"{number % 10}", "bold").append(f" {rate(one.entry.rate)} {nats(one.loss)}  ")
    return text
