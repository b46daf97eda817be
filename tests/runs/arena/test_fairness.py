"""What must be alike in a comparison, and what is a contestant's own."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pegbox_methods.recipe import (
    Evaluation,
    Judging,
    Method,
    MixedRows,
    Model,
    Recipe,
    Rows,
    Seeds,
    Split,
    Training,
)
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.asking.fairness import differences, on_the_same_commits, refuse_unlike

PLAIN = Recipe(model=Model(name="bundled"), rows=Rows(file="/rows.jsonl"))


def changed(**parts: Any) -> Recipe:
    return msgspec.structs.replace(PLAIN, **parts)


def with_training(**values: Any) -> Recipe:
    return changed(training=Training(**values))


@pytest.mark.parametrize(
    ("other", "key"),
    [
        (changed(model=Model(name="org/other")), "model.name"),
        (changed(model=Model(name="bundled", revision="v1")), "model.revision"),
        (changed(model=Model(name="bundled", chat_template="/chat.jinja")), "model.chat_template"),
        (changed(rows=Rows(file="/other.jsonl")), "rows.file"),
        (changed(rows=Rows(file="/rows.jsonl", mix=(MixedRows(file="/more.jsonl"),))), "rows.mix"),
        (changed(split=Split(share=0.2)), "split.share"),
        (changed(seeds=Seeds(split=7)), "seeds.split"),
        (changed(judging=Judging(rows=True)), "judging.rows"),
        (changed(evaluation=Evaluation(every=5)), "evaluation.every"),
        (with_training(length=512), "training.length"),
        (with_training(order="shuffled"), "training.order"),
        (with_training(epochs=3), "training.epochs"),
        (with_training(max_steps=3), "training.max_steps"),
        (with_training(schedule="linear"), "training.schedule"),
        (with_training(warmup=0.1), "training.warmup"),
        (with_training(micro_batch=8), "training.micro_batch x training.accumulation"),
    ],
)
def test_what_moves_the_loss_beside_the_method_is_a_difference(other: Recipe, key: str) -> None:
    assert [found for found, _, _ in differences(other, PLAIN)] == [key]


@pytest.mark.parametrize(
    "other",
    [
        changed(model=Model(name="bundled", quantization="nf4")),
        changed(method=Method(name="dora", settings={"rank": 4})),
        changed(seeds=Seeds(training=7)),
        changed(evaluation=Evaluation(samples=0, sample_tokens=5)),
        with_training(micro_batch=2, accumulation=8),
        with_training(learning_rate=1e-3, weight_decay=0.1, optimizer="adafactor", precision="float32"),
    ],
)
def test_what_is_a_contestants_own_is_no_difference(other: Recipe) -> None:
    assert not [*differences(other, PLAIN)]


def test_answers_that_are_measured_must_be_as_long_as_each_others() -> None:
    judging = Judging(rows=True, metrics=("rouge-l",))
    one, other = (changed(judging=judging, evaluation=Evaluation(sample_tokens=tokens)) for tokens in (64, 5))
    assert [*differences(one, other)] == [("evaluation.sample_tokens", "64", "5")]


def test_every_difference_is_refused_with_its_file_key_and_values() -> None:
    unlike = changed(split=Split(share=0.2), training=Training(epochs=3))
    with pytest.raises(Refusal, match="their losses wouldn't mean the same") as refused:
        refuse_unlike([("a.toml", PLAIN), ("b.toml", PLAIN), ("c.toml", unlike)])
    assert "c.toml: split.share = 0.2: in a.toml it is 0.1" in refused.value.sentence
    assert "c.toml: training.epochs = 3: in a.toml it is 2.0" in refused.value.sentence
    assert [fault.key for fault in refused.value.faults] == ["split.share", "training.epochs"]
    refuse_unlike([("a.toml", PLAIN), ("b.toml", PLAIN)])


def test_a_recipe_that_names_no_commit_takes_the_one_that_the_others_were_pinned_to() -> None:
    mix = MixedRows(file="org/more", revision="d1")
    pinned = changed(
        model=Model(name="org/model", revision="c1"),
        rows=Rows(file="org/rows", revision="r1", mix=(mix,)),
        split=Split(share=0.0, file="org/held", revision="h1"),
    )
    plain = changed(
        model=Model(name="org/model"),
        rows=Rows(file="org/rows", mix=(MixedRows(file="org/more"),)),
        split=Split(share=0.0, file="org/held"),
    )
    assert on_the_same_commits(plain, pinned) == pinned
    assert on_the_same_commits(PLAIN, pinned) == PLAIN
    other = msgspec.structs.replace(plain, model=Model(name="org/model", revision="c2"))
    assert on_the_same_commits(other, pinned).model.revision == "c2"
