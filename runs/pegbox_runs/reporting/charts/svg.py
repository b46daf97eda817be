"""Elements of a page, escaped; and the signs and lines by which a chart's series are told apart."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup, escape

from pegbox_runs.printable import printable

SERIES = 8
"""As many as eyes tell apart by colour, dash and sign; all further ones are drawn alike, thin and grey."""
_SIGNS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z",
    "M-3.6-3.6h7.2v7.2h-7.2Z",
    "M0-4.8L4.6 3.4H-4.6Z",
    "M0-5L5 0L0 5L-5 0Z",
    "M0 4.8L4.6-3.4H-4.6Z",
    "M-1.5-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3Z",
    "M0-5L1.5-1.6L5-1.4L2.3 1L3.2 4.6L0 2.6L-3.2 4.6L-2.3 1L-5-1.4L-1.5-1.6Z",
    "M-2.4-4.4h4.8l2.4 4.4l-2.4 4.4h-4.8l-2.4-4.4Z",
)
_PLAIN_SIGN = "M-2.5 0a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0-5 0Z"


@dataclass(frozen=True)
class Look:
    """How one contestant is drawn, the same in all charts."""

    number: int
    """Its place in the results' own order, from 1."""

    @property
    def told_apart(self) -> bool:
        """Whether it has a colour, a dash and a sign of its own."""
        return self.number <= SERIES

    @property
    def kind(self) -> str:
        """The class that its colour and its dash hang on."""
        return f"k{self.number}" if self.told_apart else "k0"

    @property
    def sign(self) -> str:
        """The path of its sign, around 0."""
        return _SIGNS[self.number - 1] if self.told_apart else _PLAIN_SIGN


def tag(name: str, *inside: str, **attributes: object) -> Markup:
    """Make an element. Text and values are escaped; `class_` is `class`, `text_anchor` is `text-anchor`.

    An attribute that is None is left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{''.join(map(_text, inside))}</{name}>")  # noqa: S704 - all of it is escaped


def percent(part: float) -> str:
    """Write a share of the width."""
    return f"{_brief(100 * part)}%"


def line(x1: object, y1: float, x2: object, y2: float, kind: str) -> Markup:
    """Draw a straight line."""
    return tag("line", x1=x1, y1=_brief(y1), x2=x2, y2=_brief(y2), class_=kind)


def words(text: str, x: object, y: float, kind: str = "") -> Markup:
    """Write text."""
    return tag("text", text, x=x, y=_brief(y), class_=kind or None)


def sign(look: Look, part: float, y: float, said: str, kind: str = "") -> Markup:
    """Draw a contestant's sign at a share of the width; `said` is shown when it is pointed at."""
    drawn = tag("path", d=look.sign, class_=f"sign {look.kind} {kind}".rstrip())
    return tag("svg", tag("title", said), drawn, x=percent(part), y=_brief(y), class_="at")


def path(points: list[tuple[float, float]], height: float, kind: str) -> Markup:
    """Draw a line through points that are shares of the width and of the height, from the bottom left."""
    steps = " ".join(f"{_brief(1000 * x)} {_brief(height * (1 - y))}" for x, y in points)
    return tag("path", d=f"M{steps}", class_=kind)


def layer(height: float, *inside: Markup) -> Markup:
    """Hold paths that stretch with the width; their lines don't, and what leaves the chart is cut."""
    view = {"viewBox": f"0 0 1000 {_brief(height)}", "preserveAspectRatio": "none"}
    return tag("svg", *inside, width="100%", height=_brief(height), class_="lines", **view)


def swatch(look: Look) -> Markup:
    """Draw how a contestant's line and sign look, for a legend."""
    drawn = [tag("path", d="M0 7H34", class_=f"mean {look.kind}")]
    drawn.append(tag("path", d=look.sign, class_=f"sign {look.kind}", transform="translate(17 7)"))
    return tag("svg", *drawn, class_="swatch", width="34", height="14", aria_hidden="true")


def _text(part: object) -> str:
    return part if isinstance(part, Markup) else escape(printable(str(part)))


def _brief(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if value else "0"
