"""The lines of the form, made from the method's card and from the recipe's own fields: one source for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec import inspect

from pegbox_methods.card import Card
from pegbox_methods.recipe import Devices, Evaluation, Model, Output, Recovery, Seeds, Training
from pegbox_methods.recipe_faults import accepted
from pegbox_methods.setting import Setting

Kind = Literal["method", "whole", "number", "switch", "choice", "names", "wholes", "text"]

TABLES: tuple[tuple[str, str, type[msgspec.Struct]], ...] = (
    ("training", "Training", Training),
    ("evaluation", "Evaluation", Evaluation),
    ("output", "What is kept", Output),
    ("recovery", "When something goes wrong", Recovery),
    ("seeds", "Chance", Seeds),
    ("devices", "Devices", Devices),
)
"""Key, heading and record of each table that is set here; model, rows and split have steps of their own."""
MATTERS = (
    "method.name",
    "method.settings.rank",
    "method.settings.alpha",
    "method.settings.targets",
    "model.quantization",
    "training.length",
    "training.micro_batch",
    "training.accumulation",
    "training.epochs",
    "training.learning_rate",
    "training.activation_checkpointing",
    "training.optimizer",
)
"""What decides over memory, time and quality; the rest is rarely touched."""
OF_SEVERAL = ("devices.processes",)
"""What matters besides where there are several devices alike."""
MOST_OWN = 3
"""Of a method without a rank, that many of its first settings matter."""


@dataclass(frozen=True)
class FormField:
    """One line of the form."""

    key: str
    """As in `--set`: `training.length`."""
    heading: str
    kind: Kind
    help: str
    default: Any
    accepted: str
    """What it takes, in words."""
    accepts: Callable[[Any], bool]
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False
    """It may be left open; the default then decides."""

    @property
    def title(self) -> str:
        """Name it as people read it."""
        table, _, name = self.key.rpartition(".")
        if self.kind == "method":
            return "method"
        return name.replace("_", " ") + (" seed" if table == "seeds" else "")


def fields_of(card: Card) -> tuple[FormField, ...]:
    """List all lines of the form for a method."""
    return tuple(_all(card))


def that_matter(fields: tuple[FormField, ...], *, several: bool = False) -> tuple[FormField, ...]:
    """Keep what decides over memory, time and quality. `several`: several devices could carry the run."""
    own = [field.key for field in fields if field.key.startswith("method.settings.")]
    ranked = any(key in MATTERS for key in own if key.endswith((".rank", ".alpha")))
    told = {*MATTERS, *(OF_SEVERAL if several else ()), *(() if ranked else own[:MOST_OWN])}
    return tuple(field for field in fields if field.key in told)


def _all(card: Card) -> Iterator[FormField]:
    heading = "Method"
    yield FormField(
        key="method.name",
        heading=heading,
        kind="method",
        help=card.summary,
        default=card.name,
        accepted="a method's name",
        accepts=lambda value: isinstance(value, str),
    )
    for setting in card.settings:
        yield _of_setting(setting, heading)
    yield from _of_record("model", heading, Model, only=("quantization",))
    for table, title, record in TABLES:
        yield from _of_record(table, title, record)


def _of_setting(setting: Setting, heading: str) -> FormField:
    return FormField(
        key=f"method.settings.{setting.name}",
        heading=heading,
        kind=setting.kind,
        help=setting.help,
        default=setting.default,
        accepted=setting.accepted(),
        accepts=setting.accepts,
        unit="" if setting.kind in ("names", "wholes") else setting.unit,
        minimum=setting.minimum,
        maximum=setting.maximum,
        choices=setting.choices,
    )


def _of_record(
    table: str, heading: str, record: type[msgspec.Struct], only: tuple[str, ...] = ()
) -> Iterator[FormField]:
    for field in msgspec.structs.fields(record):
        if only and field.name not in only:
            continue
        said: dict[str, Any] = {}
        bare, optional = _bare(inspect.type_info(field.type), said)
        low, high = _bounds(bare)
        yield FormField(
            key=f"{table}.{field.name}",
            heading=heading,
            kind=_kind(bare),
            help=said.get("description", ""),
            default=None if field.default is msgspec.NODEFAULT else field.default,
            accepted=accepted(field.type),
            accepts=_acceptor(field.type),
            unit=said.get("unit", ""),
            minimum=low,
            maximum=high,
            choices=tuple(map(str, bare.values)) if isinstance(bare, inspect.LiteralType) else (),
            optional=optional,
        )


def _bare(kind: inspect.Type, said: dict[str, Any]) -> tuple[inspect.Type, bool]:
    """Go down to what a value is, and collect what is said of it. Returns: (it, whether it may be None)."""
    if isinstance(kind, inspect.Metadata):
        for key, value in (kind.extra_json_schema or {}).items():
            said.setdefault(key, value)
        return _bare(kind.type, said)
    if isinstance(kind, inspect.UnionType):
        (inner,) = (part for part in kind.types if not isinstance(part, inspect.NoneType))
        return _bare(inner, said)[0], True
    return kind, False


def _kind(bare: inspect.Type) -> Kind:
    match bare:
        case inspect.IntType():
            return "whole"
        case inspect.FloatType():
            return "number"
        case inspect.BoolType():
            return "switch"
        case inspect.LiteralType():
            return "choice"
        case _:
            return "text"


def _bounds(bare: inspect.Type) -> tuple[float | None, float | None]:
    if not isinstance(bare, inspect.IntType | inspect.FloatType):
        return None, None
    return bare.ge if bare.ge is not None else bare.gt, bare.le if bare.le is not None else bare.lt


def _acceptor(declared: Any) -> Callable[[Any], bool]:
    def accepts(value: Any) -> bool:
        try:
            msgspec.convert(value, declared)
        except msgspec.ValidationError:
            return False
        return True

    return accepts
