"""What is seen where the terminal is too small: what is needed, what is there. It goes away by itself.

The screens aren't told: they go on in the least size that they can be drawn in, undrawn. So nothing of them is lost,
and the library never lays a list out in no columns at all, which it can't.
"""

from __future__ import annotations

from textual.geometry import Size

LEAST = Size(60, 20)
"""Below that no screen of ours can be read; they are made for 80x24."""


def too_small(size: Size) -> bool:
    """Tell whether nothing sensible can be shown. A terminal that says 0x0 doesn't know its size."""
    return size.area > 0 and (size.width < LEAST.width or size.height < LEAST.height)


def at_least(size: Size) -> Size:
    """Give the size that screens are laid out in."""
    return Size(max(size.width, LEAST.width), max(size.height, LEAST.height)) if size.area > 0 else size


def cover_lines(size: Size) -> list[str]:
    """Say it in so many lines and columns as there are: what counts comes first."""
    said = (
        f"Pegbox needs {LEAST.width}x{LEAST.height},",
        f"this is {size.width}x{size.height}.",
        "Enlarge the terminal",
        "to go on: nothing is",
        "lost. ctrl+c leaves.",
    )
    return [line[: size.width] for line in said[: size.height]]


def cover_sequence(size: Size) -> str:
    """Clear the terminal and write the lines in its middle."""
    lines = cover_lines(size)
    top = (size.height - len(lines)) // 2
    placed = "".join(
        f"\x1b[{top + number};{(size.width - len(line)) // 2 + 1}H{line}" for number, line in enumerate(lines, start=1)
    )
    return f"\x1b[0m\x1b[2J{placed}"
