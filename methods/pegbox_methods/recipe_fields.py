"""What the tables of a recipe are made of: numbers with a unit and a range, and the tables' own base."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

RowCount = Annotated[int, Meta(ge=1, le=1_000_000_000, extra_json_schema={"unit": "rows"})]
BatchRows = Annotated[int, Meta(ge=1, le=4096, extra_json_schema={"unit": "rows"})]
StepCount = Annotated[int, Meta(ge=1, le=100_000_000, extra_json_schema={"unit": "steps"})]
Seed = Annotated[int, Meta(ge=0, le=2**32 - 1, extra_json_schema={"unit": "seed"})]
Text = Annotated[str, Meta(min_length=1)]


def share(most: float) -> Meta:
    """A part of the whole, from 0 to `most`."""
    return Meta(ge=0, le=most, extra_json_schema={"unit": "share"})


class Part(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the recipe."""
