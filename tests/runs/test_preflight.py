"""What can be refused before a run exists is refused there, in one message."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from pegbox_methods.recipe import Method, Model, Recipe, Rows, Training
from pegbox_methods.refusal import Refusal
from pegbox_runs.models import BUNDLED
from pegbox_runs.preflight import check

RECIPE = Recipe(model=Model(name="bundled"), rows=Rows(file=str(BUNDLED / "rows.jsonl")))


@pytest.fixture
def bare_model(tmp_path: Path) -> Path:
    """A model whose tokenizer has no chat template."""
    folder = Path(shutil.copytree(BUNDLED / "model", tmp_path / "model"))
    (folder / "chat_template.jinja").unlink()
    return folder


def refused(recipe: Recipe) -> str:
    with pytest.raises(Refusal) as caught:
        check(recipe, file="recipe.toml")
    return caught.value.sentence


def changed(**parts: object) -> Recipe:
    return msgspec.structs.replace(RECIPE, **parts)


def test_a_sound_recipe_is_completed_and_its_parts_found() -> None:
    checked = check(RECIPE, file="recipe.toml")
    assert checked.recipe.training.learning_rate == 2e-4
    assert checked.rows.format == "messages"
    assert checked.card.name == "lora"
    environment = checked.environment()
    assert environment.libraries["torch"] is not None
    assert len(environment.rows_sha256) == 64


def test_a_length_the_model_was_not_built_for() -> None:
    said = refused(changed(training=Training(length=2048)))
    assert "recipe.toml: training.length = 2048: the model was built for 1024 tokens" in said


def test_a_target_the_model_has_not() -> None:
    said = refused(changed(method=Method(settings={"targets": ["q_proj", "query"]})))
    assert "method.settings.targets = 'query': the model has no such matrix; its linear maps are q_proj" in said


def test_a_method_nobody_knows() -> None:
    assert 'no method is called "lorra"; did you mean "lora"?' in refused(changed(method=Method(name="lorra")))


def test_conversations_need_a_template_and_other_rows_do_not(bare_model: Path, tmp_path: Path) -> None:
    model = Model(name=str(bare_model))
    said = refused(changed(model=model))
    assert "the tokenizer has no chat template, and the rows are conversations" in said
    assert "model.chat_template" in said
    text = tmp_path / "text.jsonl"
    text.write_text("".join(json.dumps({"text": f"row {i}"}) + "\n" for i in range(5)))
    check(changed(model=model, rows=Rows(file=str(text))), file="recipe.toml")


def test_a_named_template_must_be_there(bare_model: Path, tmp_path: Path) -> None:
    template = tmp_path / "chat.jinja"
    model = Model(name=str(bare_model), chat_template=str(template))
    assert "No such file or directory" in refused(changed(model=model))
    template.write_bytes(b"\xff")
    assert "can't be read as a UTF-8 text" in refused(changed(model=model))
    template.write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    check(changed(model=model), file="recipe.toml")
