"""The chat's keys. Letters belong to the question, so that all others are keys by name."""

from __future__ import annotations

from textual.binding import Binding, BindingType

KEYS: list[BindingType] = [
    Binding("escape", "interrupt", "Interrupt", key_display="esc"),
    Binding("f2", "base", "Base"),
    Binding("f3", "prompt", "Prompt"),
    Binding("f4", "settings", "Settings"),
    Binding("f5", "reset", "Reset"),
    Binding("f6", "layout", "Layout"),
    Binding("up", "recall(-1)", "An earlier question", show=False),
    Binding("down", "recall(1)", "A later question", show=False),
    Binding("pageup", "scroll(-1)", "All columns a page back", show=False, priority=True),
    Binding("pagedown", "scroll(1)", "All columns a page on", show=False, priority=True),
]

COMMANDS: tuple[tuple[str, str, str], ...] = (
    ("Base: on or off", "whether the base model answers too (f2)", "base"),
    ("Prompt", "what the models are shown, to the last token (f3)", "prompt"),
    ("Settings", "temperature, top-p, seed, longest answer, system (f4)", "settings"),
    ("Reset", "forget what was said; the models stay loaded (f5)", "reset"),
    ("Layout: beside or below each other", "of the columns (f6)", "layout"),
    ("Interrupt", "whoever speaks stops; what was said stays (esc)", "interrupt"),
)
"""Title, what it does, and the action, for the palette."""
