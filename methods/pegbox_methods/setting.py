"""One knob of a method: the wizard's form, the recipe's check and the docs are all made from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from pegbox_methods.refusal import Fault, did_you_mean

Kind = Literal["whole", "number", "switch", "choice", "names"]


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A named value with its default, range and unit.

    `names` is a list of module names, or one word that stands for a set of them (see `choices`).
    """

    name: str
    kind: Kind
    default: Any
    help: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    def accepted(self) -> str:
        """Say in words which values the setting takes."""
        if self.kind == "whole":
            return f"a whole number{self._range()}"
        if self.kind == "number":
            return f"a number{self._range()}"
        if self.kind == "switch":
            return "true or false"
        words = " or ".join(f'"{choice}"' for choice in self.choices)
        return words if self.kind == "choice" else f"{words}, or a list of module names"

    def _range(self) -> str:
        low = "" if self.minimum is None else f" from {self.minimum:g}"
        return low if self.maximum is None else f"{low} to {self.maximum:g}"

    def accepts(self, value: Any) -> bool:
        """Tell whether a value from a recipe is of the setting's kind and in its range."""
        if self.kind == "switch":
            return isinstance(value, bool)
        if self.kind == "choice":
            return value in self.choices
        if self.kind == "names":
            listed = isinstance(value, list) and bool(value) and all(isinstance(v, str) and v for v in value)
            return listed or value in self.choices
        if isinstance(value, bool) or not isinstance(value, int if self.kind == "whole" else (int, float)):
            return False
        low = float("-inf") if self.minimum is None else self.minimum
        high = float("inf") if self.maximum is None else self.maximum
        return bool(low <= value <= high)


def resolve_settings(
    settings: tuple[Setting, ...], given: Mapping[str, Any], *, file: str
) -> tuple[dict[str, Any], list[Fault]]:
    """Fill a recipe's `method.settings` with defaults and find what is wrong with them.

    Returns: (every setting by name, faults).
    """
    known = {setting.name: setting for setting in settings}
    faults = [
        Fault(
            file=file,
            key=f"method.settings.{name}",
            value=repr(value),
            problem=f"unknown setting; {did_you_mean(name, known)}",
        )
        for name, value in given.items()
        if name not in known
    ]
    resolved: dict[str, Any] = {}
    for name, setting in known.items():
        value = given.get(name, setting.default)
        if name in given and not setting.accepts(value):
            faults.append(
                Fault(
                    file=file,
                    key=f"method.settings.{name}",
                    value=repr(value),
                    problem=f"expected {setting.accepted()}",
                )
            )
        resolved[name] = float(value) if setting.kind == "number" and setting.accepts(value) else value
    return resolved, faults
