"""What can be refused before a run exists is refused there, in one message."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import msgspec
import pytest

from pegbox_methods.recipe import Devices, Method, Model, Recipe, Rows, Training
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_runs import conditions, preflight
from pegbox_runs.models import BUNDLED
from pegbox_runs.preflight import check
from tests.runs.made_up_machines import GIB, gpu, machine

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


def card_here(monkeypatch: pytest.MonkeyPatch, **facts: object) -> None:
    """Make believe that this machine has such a GPU."""
    monkeypatch.setattr(conditions, "probe", lambda: machine(gpu(**facts)))


def test_a_card_that_is_too_old_for_the_method(monkeypatch: pytest.MonkeyPatch) -> None:
    card_here(monkeypatch, compute_capability="5.2")
    said = refused(changed(method=Method(name="qlora")))
    assert "recipe.toml: method.name = 'qlora': it needs a card of compute capability 6.0, and this one has 5.2" in said
    check(RECIPE, file="recipe.toml")


def test_of_several_cards_the_one_counts_that_the_run_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = gpu(compute_capability="5.2", memory_free=30 * GIB), gpu(index=1, memory_free=20 * GIB)
    monkeypatch.setattr(conditions, "probe", lambda: machine(new, old))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert "this one has 5.2" in refused(changed(method=Method(name="qlora")))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    check(changed(method=Method(name="qlora")), file="recipe.toml")


def test_a_4_bit_base_is_asked_of_the_model_and_the_installation_whatever_the_method(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conditions, "bitsandbytes_is_here", lambda: False)
    said = refused(changed(model=Model(name="bundled", quantization="nf4")))
    assert "recipe.toml: model.quantization = 'nf4': it packs the base model into 4 bits with bitsandbytes" in said
    said = refused(changed(training=Training(optimizer="paged_adamw_8bit")))
    assert "training.optimizer = 'paged_adamw_8bit': its states are kept in 8 bits by bitsandbytes, which isn't" in said
    check(RECIPE, file="recipe.toml")


def test_what_the_card_says_it_cannot_is_refused_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    cannot = {"checkpointing": "it looks at every activation", "optimizer": "it has a rule of its own"}
    card = dataclasses.replace(find_card("lora"), cannot=cannot)
    monkeypatch.setattr(preflight, "find_card", lambda _name: card)
    said = refused(changed(training=Training(activation_checkpointing="on", optimizer="adafactor")))
    assert "training.activation_checkpointing = 'on'" in said
    assert "it looks at every activation" in said
    assert "training.optimizer = 'adafactor'" in said
    check(RECIPE, file="recipe.toml")


def test_every_misfit_is_told_at_once() -> None:
    wrong = changed(training=Training(length=2048), method=Method(name="qlora", settings={"targets": ["query"]}))
    wrong = msgspec.structs.replace(wrong, model=Model(name="bundled", quantization="none"))
    with pytest.raises(Refusal) as caught:
        check(wrong, file="recipe.toml")
    assert [fault.key for fault in caught.value.faults] == [
        "training.length",
        "method.settings.targets",
        "model.quantization",
    ]


@pytest.mark.parametrize("target", ["self_attn.q_proj", "layers.0.mlp.up_proj", "*_proj", "layers.[0-1].mlp.*"])
def test_targets_may_be_longer_names_or_patterns(target: str) -> None:
    check(changed(method=Method(settings={"targets": [target]})), file="recipe.toml")


def test_processes_that_the_machine_or_the_method_cannot_carry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "probe", lambda: machine(cores=2))
    training = Training(accumulation=8)
    said = refused(changed(training=training, devices=Devices(processes=4)))
    assert "devices.processes = 4: this machine has no GPU, and 2 cores" in said
    with pytest.raises(Refusal, match="can't be parted among 3 machines"):
        check(changed(training=training, devices=Devices(processes=4)), file="recipe.toml", nodes=3)
    check(changed(training=training, devices=Devices(processes=4)), file="recipe.toml", nodes=2)
    said = refused(
        changed(training=training, devices=Devices(processes=2, engine="fsdp2"), method=Method(name="pissa"))
    )
    assert "devices.engine = 'fsdp2'" in said
