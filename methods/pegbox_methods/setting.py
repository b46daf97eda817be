"""One knob of a method: the wizard's form, the recipe's check and the docs are all made from it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from math import isfinite
from typing import Any, Literal

import msgspec

from pegbox_methods.refusal import Fault, did_you_mean

Kind = Literal["whole", "number", "switch", "choice", "names", "wholes"]


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A named value with its default, range and unit.

    `names` is a list of module names, or of what `unit` says, or one word that stands for a set of them (see
    `choices`). `wholes` is a list of whole numbers, none of them negative; it may be empty where the default is.
    """

    name: str
    kind: Kind
    default: Any
    help: str
    unit: str = ""
    minimum: float | None = None
    """Of a number, or of each in a list; both bounds are in the range."""
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
        if self.kind == "wholes":
            return f"a list of whole numbers{self._range()}" + (", or an empty one" if self._may_be_empty else "")
        words = " or ".join(f'"{choice}"' for choice in self.choices)
        if self.kind == "choice":
            return words
        listed = f"a list of {self.unit or 'module names'}"
        return f"{words}, or {listed}" if words else listed

    def accepts(self, value: Any) -> bool:
        """Tell whether a value from a recipe is of the setting's kind and in its range."""
        if self.kind == "switch":
            return isinstance(value, bool)
        if self.kind == "choice":
            return isinstance(value, str) and value in self.choices
        if self.kind == "names":
            listed = isinstance(value, list) and bool(value) and all(isinstance(v, str) and v for v in value)
            return listed or (isinstance(value, str) and value in self.choices)
        if self.kind == "wholes":
            listed = isinstance(value, list) and (bool(value) or self._may_be_empty)
            return listed and all(self._in_range(one) for one in value)
        return self._in_range(value)

    def schema(self) -> dict[str, Any]:
        """Describe the accepted values as a JSON schema."""
        kind: dict[str, Any]
        if self.kind in ("whole", "number"):
            kind = {"type": "integer" if self.kind == "whole" else "number", **self._bounds()}
        elif self.kind == "switch":
            kind = {"type": "boolean"}
        elif self.kind == "wholes":
            kind = {"type": "array", "items": {"type": "integer", **self._bounds()}}
            kind |= {} if self._may_be_empty else {"minItems": 1}
        elif self.kind == "choice":
            kind = {"enum": list(self.choices)}
        else:
            names = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1}
            kind = {"anyOf": [{"enum": list(self.choices)}, names]} if self.choices else names
        return {"description": self.help, "default": self.default, **kind, **({"unit": self.unit} if self.unit else {})}

    @property
    def _least(self) -> float | None:
        return max(0.0, self.minimum or 0.0) if self.kind == "wholes" else self.minimum

    @property
    def _may_be_empty(self) -> bool:
        return bool(self.default == [])

    def _bounds(self) -> dict[str, float]:
        bounds = {"minimum": self._least, "maximum": self.maximum}
        return {
            name: int(bound) if float(bound).is_integer() else bound
            for name, bound in bounds.items()
            if bound is not None
        }

    def _range(self) -> str:
        low = "" if self._least is None else f" from {_plain(self._least)}"
        if self.maximum is None:
            return low
        return f"{low} to {_plain(self.maximum)}" if low else f" up to {_plain(self.maximum)}"

    def _in_range(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, float) if self.kind == "number" else int):
            return False
        with suppress(OverflowError):  # a whole number that no float can hold is out of every range
            return isfinite(value) and self._between(value)
        return False

    def _between(self, value: float) -> bool:
        return (self._least is None or value >= self._least) and (self.maximum is None or value <= self.maximum)


def _plain(bound: float) -> str:
    """Write a bound without an exponent where it is whole: 65536, not 6.5536e+04; 100000, not 1e+05."""
    return str(int(bound)) if float(bound).is_integer() else f"{bound:g}"


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
