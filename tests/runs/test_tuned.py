"""What is found of a run from afterwards, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from pegbox_methods.recipe import Model, Recipe, Rows
from pegbox_methods.refusal import Refusal
from pegbox_runs.base_prints import BLOCK_BYTES, BasePrints, weights_fingerprint
from pegbox_runs.environment import changed_part, describe, prints_of
from pegbox_runs.models import BUNDLED, find_model
from pegbox_runs.run_folder import RunFolder, create
from pegbox_runs.tuned import tuned_run
from tests.runs.told_runs import write_events
from tests.stories import prepared, started


def base_at(folder: Path) -> Path:
    """Copy the bundled model, so that it can be spoilt."""
    return Path(shutil.copytree(BUNDLED / "model", folder / "base"))


def run_on(base: Path, *, says: str | None = None, template: str | None = None) -> RunFolder:
    """Make a run that left an adapter, which `says` what base it is of; with a chat `template` of the recipe's own."""
    recipe = Recipe(model=Model(name=str(base), chat_template=template), rows=Rows(file="/rows.jsonl"))
    found = find_model(recipe.model)
    stands_on = describe(rows_sha256="r", held_out_sha256=None, base=prints_of(found, recipe.model))
    folder = create(recipe, stands_on)
    folder.adapter.mkdir()
    save_file({"a": np.ones(3, dtype=np.float32)}, folder.adapter / "adapter_model.safetensors")
    config = {"base_model_name_or_path": str(base) if says is None else says}
    (folder.adapter / "adapter_config.json").write_text(json.dumps(config))
    return folder


def test_a_run_is_found_by_its_id_a_prefix_last_and_its_folder(tmp_path: Path) -> None:
    folder = run_on(base_at(tmp_path))
    for name in (folder.id, folder.id[:-2], "last", str(folder.path)):
        assert tuned_run(name).folder.path == folder.path
    assert tuned_run("last").is_peft


def test_the_hash_of_an_adapter_is_that_of_what_it_computes(tmp_path: Path) -> None:
    folder = run_on(base_at(tmp_path))
    before = tuned_run("last").adapter_sha256()
    (folder.adapter / "README.md").write_text("words")
    assert tuned_run("last").adapter_sha256() == before
    config = folder.adapter / "adapter_config.json"
    told = json.loads(config.read_text())
    config.write_text(json.dumps({**told, "peft_version": "9", "revision": "main", "inference_mode": True}))
    assert tuned_run("last").adapter_sha256() == before
    config.write_text(json.dumps({**told, "lora_alpha": 64}))
    scaled = tuned_run("last").adapter_sha256()
    assert scaled != before
    save_file({"a": np.zeros(3, dtype=np.float32)}, folder.adapter / "adapter_model.safetensors")
    assert tuned_run("last").adapter_sha256() not in (before, scaled)


def test_a_run_without_an_adapter_is_refused_with_what_to_do(tmp_path: Path) -> None:
    folder = run_on(base_at(tmp_path))
    shutil.rmtree(folder.adapter)
    with pytest.raises(Refusal, match=r"has no adapter.*pegbox resume"):
        tuned_run("last")


def test_a_run_that_goes_on_is_said_to_have_no_adapter_yet(tmp_path: Path) -> None:
    folder = run_on(base_at(tmp_path))
    shutil.rmtree(folder.adapter)
    write_events(folder, [started(run=folder.id), prepared()])
    with pytest.raises(Refusal, match=r"no adapter yet: it is running.*pegbox watch.*pegbox stop"):
        tuned_run("last")


def test_a_base_whose_weights_were_changed_in_place_is_refused(tmp_path: Path) -> None:
    base = base_at(tmp_path)
    run_on(base)
    (weights,) = base.glob("*.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(Refusal, match=r"isn't the model that .* was trained on any more"):
        tuned_run("last")


def test_a_base_that_is_gone_is_named(tmp_path: Path) -> None:
    base = base_at(tmp_path)
    run_on(base)
    shutil.rmtree(base)
    with pytest.raises(Refusal, match=r"there is no such model folder.*--base"):
        tuned_run("last")


def test_a_base_that_was_moved_is_taken_from_its_new_place_if_it_is_the_same(tmp_path: Path) -> None:
    base = base_at(tmp_path)
    run_on(base)
    moved = base.rename(tmp_path / "elsewhere")
    assert tuned_run("last", base=str(moved)).model.folder == moved
    (moved / "config.json").write_text((moved / "config.json").read_text().replace("{", '{"more": 1,', 1))
    with pytest.raises(Refusal, match="isn't the model"):
        tuned_run("last", base=str(moved))


def test_an_adapter_that_was_put_there_from_another_base_is_refused(tmp_path: Path) -> None:
    run_on(base_at(tmp_path), says="somebody/else-7b")
    with pytest.raises(Refusal, match="belongs to the base somebody/else-7b"):
        tuned_run("last")


@pytest.mark.parametrize("size", [1, BLOCK_BYTES - 1, BLOCK_BYTES + 1, 40 * BLOCK_BYTES])
def test_a_fingerprint_sees_the_first_and_the_last_byte(size: int, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    content = bytearray(size)
    seen = set()
    for place in {0, size - 1, None}:
        changed = bytearray(content)
        if place is not None:
            changed[place] = 1
        path.write_bytes(changed)
        seen.add(weights_fingerprint([path]))
    assert len(seen) == len({0, size - 1, None})


@pytest.mark.parametrize(("file", "what"), [("tokenizer.json", "tokenizer"), ("chat_template.jinja", "chat template")])
def test_a_tokenizer_or_a_template_that_was_changed_since_is_refused(file: str, what: str, tmp_path: Path) -> None:
    base = base_at(tmp_path)
    run_on(base)
    (base / file).write_text((base / file).read_text() + "\n")
    with pytest.raises(Refusal, match=f"its {what} isn't the one"):
        tuned_run("last")


def test_the_recipe_s_own_template_that_was_changed_since_is_named_itself(tmp_path: Path) -> None:
    template = tmp_path / "ours.jinja"
    template.write_text("{{ messages }}")
    run_on(base_at(tmp_path), template=str(template))
    assert tuned_run("last").recipe.model.chat_template == str(template)
    template.write_text("{{ messages }}!")
    with pytest.raises(Refusal, match=rf"^{template}: the chat template isn't the one that .* was trained with"):
        tuned_run("last")


TOLD = BasePrints("m", "w", "t", "c")


@pytest.mark.parametrize(
    ("now", "here", "hub"),
    [
        (TOLD, None, None),
        (replace(TOLD, model_sha256="x"), "config or weights", None),
        (replace(TOLD, weights_sha256="x"), "config or weights", "config or weights"),
        (replace(TOLD, weights_sha256=None), None, None),
        (replace(TOLD, tokenizer_sha256="x"), "tokenizer", "tokenizer"),
        (replace(TOLD, template_sha256=None), "chat template", "chat template"),
    ],
)
def test_the_part_of_a_base_that_was_changed_is_named(now: BasePrints, here: str | None, hub: str | None) -> None:
    assert changed_part(TOLD, now, from_hub=False) == here
    assert changed_part(TOLD, now, from_hub=True) == hub
    assert changed_part(BasePrints(now.model_sha256, None, None, None), now, from_hub=False) is None
