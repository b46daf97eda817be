"""Which rows a recipe learns from: where they lie, how they are mixed, which of them are held out."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from msgspec import Meta, field

from pegbox_methods.recipe_fields import Part, RowCount, Text, share

RowsFormat = Literal[
    "auto",
    "messages",
    "sharegpt",
    "alpaca",
    "prompt-completion",
    "instruction-response",
    "question-answer",
    "text",
]
Column = Literal["messages", "prompt", "input", "completion", "system", "history", "reasoning", "tools", "text"]
Allowed = Literal["rejected-rows", "untrained-rows", "few-trained-tokens", "end-not-learned"]


class RowSource(Part, frozen=True):
    """Where rows lie and how they are read."""

    file: Annotated[
        Text,
        Meta(
            description="A file of rows (JSON, JSONL, CSV, TSV, Parquet or Arrow; also as .gz or .zst), a folder of "
            "such files, or the Hub id of a data set, as in org/name."
        ),
    ]
    format: Annotated[RowsFormat, Meta(description="What a row looks like. 'auto' recognises it by its keys.")] = "auto"
    columns: Annotated[
        dict[Column, Text],
        Meta(
            description="Which column holds what, where looking isn't enough, as in "
            '{ prompt = "frage", completion = "antwort" }. Known are ' + ", ".join(get_args(Column)) + ".",
            extra_json_schema={"propertyNames": {"enum": sorted(get_args(Column))}},
        ),
    ] = field(default_factory=dict)
    limit: Annotated[
        RowCount | None, Meta(description="Use only this many rows, from the top of the file. Default: all.")
    ] = None
    hub_subset: Annotated[Text | None, Meta(description="Which subset of a Hub data set. Default: its only one.")] = (
        None
    )
    hub_split: Annotated[Text, Meta(description="Which split of a Hub data set.")] = "train"
    revision: Annotated[
        Text | None, Meta(description="Branch, tag or commit of a Hub data set. Default: its main branch.")
    ] = None


class MixedRows(RowSource, frozen=True):
    """Another source, mixed into the training rows."""

    weight: Annotated[
        Annotated[float, Meta(gt=0, le=100, extra_json_schema={"unit": "times"})] | None,
        Meta(
            description="How often each of its rows is seen in an epoch: 2 is twice, 0.5 every other one. Its rows "
            "are held out as the first source's are. Default: 1, unless there is a share."
        ),
    ] = None
    share: Annotated[
        Annotated[float, Meta(gt=0, le=0.9, extra_json_schema={"unit": "share"})] | None,
        Meta(
            description="In place of a weight: so many of its rows that they are this part of an epoch, as 0.1 of "
            "general rows against forgetting. None of them is held out."
        ),
    ] = None


class Rows(RowSource, frozen=True):
    """Which rows it learns from."""

    weight: Annotated[
        float,
        Meta(
            gt=0,
            le=100,
            description="How often each row of this source is seen in an epoch, beside those of `mix`.",
            extra_json_schema={"unit": "times"},
        ),
    ] = 1.0
    mix: Annotated[tuple[MixedRows, ...], Meta(description="More sources.")] = ()
    allow: Annotated[
        tuple[Allowed, ...],
        Meta(
            description="What would be refused otherwise. 'rejected-rows': leave out rows that can't be read. "
            "'untrained-rows': leave out rows of which nothing is learned. 'few-trained-tokens': train though less "
            "than 1 % of the tokens is learned. 'end-not-learned': train though no row teaches the model to stop."
        ),
    ] = ()


class Split(Part, frozen=True):
    """Which rows are held out for evaluation."""

    share: Annotated[
        float,
        share(0.9),
        Meta(
            description="Part of the rows held out. They are chosen by their content, so that neither their order in "
            "the file nor the machine matters. 0 and no file: no evaluation."
        ),
    ] = 0.1
    file: Annotated[
        Text | None,
        Meta(
            description="Held-out rows of their own, used in place of a share: a file, a folder or a Hub id. Training "
            "rows that are also in it are left out of the training."
        ),
    ] = None
    hub_split: Annotated[Text, Meta(description="Which split to take where `file` is a Hub data set.")] = "test"
    revision: Annotated[
        Text | None, Meta(description="Branch, tag or commit of that Hub data set. Default: its main branch.")
    ] = None
    by: Annotated[
        Text | None,
        Meta(description="A column: rows with the same value in it fall on the same side, as those of one author."),
    ] = None
    stratify: Annotated[
        Text | None, Meta(description="A column: of each of its values the same share is held out, as of each label.")
    ] = None
