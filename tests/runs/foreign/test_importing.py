"""Recipes of Axolotl and LLaMA-Factory: no key goes astray, and what comes of them can be trained."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pegbox_methods.recipe_file import recipe_text
from pegbox_methods.refusal import Refusal
from pegbox_runs.foreign import axolotl, llama_factory
from pegbox_runs.foreign.carrying import Imported
from pegbox_runs.foreign.importing import import_recipe
from pegbox_runs.foreign.tables import Tables

AXOLOTL: dict[str, Any] = {
    "base_model": "org/model",
    "adapter": "lora",
    "learning_rate": "2e-4",
    "micro_batch_size": 2,
    "gradient_accumulation_steps": 4,
}
FACTORY: dict[str, Any] = {"model_name_or_path": "org/model", "stage": "sft", "finetuning_type": "lora"}


def write(folder: Path, table: dict[str, Any], name: str = "recipe.yaml") -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(table))
    return path


def imported(folder: Path, base: dict[str, Any], **more: Any) -> Imported:
    return import_recipe(write(folder, {**base, **more}))


def fates(found: Imported) -> dict[str, str]:
    return {entry.key: entry.fate for entry in found.entries}


def known(tables: Tables) -> list[str]:
    groups = [key for group in (*tables.does, *tables.off, *tables.left) for key in group.keys]
    return [*tables.named, *groups]


@pytest.mark.parametrize("tables", [axolotl.TABLES, llama_factory.TABLES], ids=lambda tables: tables.tool)
def test_no_key_stands_in_two_places_of_a_table(tables: Tables) -> None:
    listed = known(tables)
    assert sorted(key for key in set(listed) if listed.count(key) > 1) == []
    assert tables.source


def test_axolotls_own_example_becomes_a_recipe_that_means_the_same(tmp_path: Path) -> None:
    found = imported(
        tmp_path,
        AXOLOTL,
        load_in_4bit=True,
        adapter="qlora",
        datasets=[{"path": "tatsu-lab/alpaca", "type": "alpaca"}],
        sequence_len=4096,
        sample_packing=True,
        lora_r=32,
        lora_alpha=16,
        lora_target_linear=True,
        num_epochs=4,
        optimizer="paged_adamw_32bit",
        lr_scheduler="cosine",
        bf16="auto",
        gradient_checkpointing=True,
        warmup_steps=10,
        val_set_size=0.05,
        train_on_inputs=False,
    )
    recipe = found.recipe
    assert (recipe.method.name, recipe.method.settings["rank"], recipe.method.settings["alpha"]) == ("qlora", 32, 16.0)
    assert recipe.method.settings["dropout"] == 0.0, "Axolotl's default, not ours"
    assert (recipe.training.order, recipe.training.length, recipe.training.epochs) == ("packed", 4096, 4.0)
    assert (recipe.training.learning_rate, recipe.training.activation_checkpointing) == (2e-4, "on")
    assert (recipe.rows.file, recipe.rows.format, recipe.split.share) == ("tatsu-lab/alpaca", "alpaca", 0.05)
    assert fates(found)["warmup_steps"] == "left"
    assert fates(found)["train_on_inputs"] == "translated"


def test_axolotls_warm_up_steps_count_before_its_ratio_even_if_there_are_none(tmp_path: Path) -> None:
    found = imported(tmp_path, AXOLOTL, warmup_steps=0, warmup_ratio=0.1)
    assert found.recipe.training.warmup == 0.0
    assert fates(found)["warmup_ratio"] == "left"


def test_llama_factorys_own_example_finds_its_rows_by_dataset_info(tmp_path: Path) -> None:
    rows = tmp_path / "data"
    rows.mkdir()
    (rows / "a.json").write_text("[]")
    (rows / "chats.jsonl").write_text("")
    info = {
        "plain": {"file_name": "a.json", "columns": {"prompt": "frage", "response": "antwort"}},
        "chats": {"file_name": "chats.jsonl", "formatting": "sharegpt", "columns": {"messages": "talk"}},
        "pairs": {"file_name": "a.json", "ranking": True},
    }
    (rows / "dataset_info.json").write_text(json.dumps(info))
    found = imported(tmp_path, FACTORY, dataset="plain,chats,pairs", dataset_dir="data", max_samples=1000, lora_rank=8)
    recipe = found.recipe
    assert recipe.rows.file == str(rows / "a.json")
    assert recipe.rows.columns["prompt"] == "frage"
    assert recipe.rows.columns["completion"] == "antwort"
    assert [(one.file, one.columns, one.limit) for one in recipe.rows.mix] == [
        (str(rows / "chats.jsonl"), {"messages": "talk"}, 1000)
    ]
    assert any("pairs" in sentence for sentence in found.to_do)
    assert (recipe.training.schedule, recipe.training.epochs, recipe.training.micro_batch) == ("linear", 3.0, 8)
    assert recipe.method.settings["alpha"] == 16.0, "twice the rank, as LLaMA-Factory has it"


@pytest.mark.parametrize(
    ("more", "method"),
    [
        ({"peft_use_dora": True}, "dora"),
        ({"peft_use_dora": True, "adapter": "qlora", "load_in_4bit": True}, "qdora"),
        ({"peft_use_rslora": True}, "rslora"),
        ({"loraplus_lr_ratio": 16}, "lora-plus"),
        ({"peft_init_lora_weights": "pissa_niter_16"}, "pissa"),
        ({"adapter": None}, "full"),
    ],
)
def test_kin_of_lora_become_the_method_that_they_are(tmp_path: Path, more: dict[str, Any], method: str) -> None:
    assert imported(tmp_path, AXOLOTL, **more).recipe.method.name == method


def test_two_kinds_of_lora_at_once_leave_the_second_by_name(tmp_path: Path) -> None:
    found = imported(tmp_path, FACTORY, use_dora=True, use_rslora=True)
    assert found.recipe.method.name == "dora"
    assert fates(found)["use_rslora"] == "left"


def test_a_value_out_of_our_range_is_named_as_left_with_the_range(tmp_path: Path) -> None:
    found = imported(tmp_path, AXOLOTL, val_set_size=0.95, sequence_len=2)
    entries = {entry.key: entry for entry in found.entries}
    assert entries["val_set_size"].fate == entries["sequence_len"].fate == "left"
    assert "0.9" in entries["val_set_size"].why


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    found = imported(tmp_path, FACTORY, hf_hub_token="hf_secretsecretsecretsecret", swanlab_api_key="s3cr3ts3cr3t")
    assert "s3cr3t" not in str(found)
    assert "hf_secret" not in str(found)


def test_a_secret_is_hidden_however_deep_it_lies_and_a_tokenizers_mark_is_none(tmp_path: Path) -> None:
    token = "hf_" + "abcdefghij" * 3
    found = imported(
        tmp_path,
        AXOLOTL,
        env={"WANDB_API_KEY": "s3cr3ts3cr3t"},
        wandb_project=token,
        hub_model_id="https://ann:s3cr3t@host/x",
        datasets=[{"path": "https://ann:s3cr3t@host/rows.jsonl", "type": "alpaca", "x": [token]}],
        special_tokens={"pad_token": "<|end|>"},
    )
    assert "s3cr3t" not in str(found)
    assert token not in str(found)
    assert "<|end|>" in str(found)


def test_preferences_are_refused_in_axolotls_words_too(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="rl: dpo"):
        imported(tmp_path, AXOLOTL, rl="dpo")
    assert imported(tmp_path, AXOLOTL, rl=None).recipe


@pytest.mark.parametrize("length", [300, 5000])
def test_a_template_written_into_the_recipe_is_no_files_name(tmp_path: Path, length: int) -> None:
    for text in ("{% for m in messages %}" + "a" * length + "{% endfor %}", "a" * length):
        found = imported(tmp_path, AXOLOTL, chat_template="jinja", chat_template_jinja=text)
        assert fates(found)["chat_template_jinja"] == "left"
    assert imported(tmp_path, AXOLOTL, datasets=[{"path": "a" * length, "type": "alpaca"}]).recipe


def test_what_dataset_info_says_and_nobody_reads_is_named(tmp_path: Path) -> None:
    (tmp_path / "chats.jsonl").write_text("")
    told = {"file_name": "chats.jsonl", "formatting": "sharegpt", "tags": {"role_tag": "r"}, "num_samples": 5}
    (tmp_path / "dataset_info.json").write_text(json.dumps({"chats": told}))
    found = imported(tmp_path, FACTORY, dataset="chats", dataset_dir=str(tmp_path))
    (entry,) = [entry for entry in found.entries if entry.key == "dataset"]
    assert "not carried over: num_samples, tags" in entry.why


def test_what_is_told_is_what_the_recipe_says(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("")
    (tmp_path / "dataset_info.json").write_text(json.dumps({"r": {"file_name": "rows.jsonl"}}))
    more = {"dataset": "r", "eval_dataset": "r", "dataset_dir": str(tmp_path), "val_size": 0.1, "report_to": "none"}
    found = imported(tmp_path, FACTORY, **more)
    assert found.recipe.split.share == 0.0
    assert fates(found)["val_size"] == "left"
    assert fates(found)["report_to"] == "translated"
    assert fates(imported(tmp_path, FACTORY, report_to="wandb"))["report_to"] == "left"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\n", "neither a recipe of Axolotl"),
        ("base_model: x\nbase_model: y\n", "there twice"),
        ("- base_model\n", "expected a table"),
        ("base_model: !!python/object/apply:os.system ['true']\n", "plain YAML"),
        ("base_model: [\n", "plain YAML"),
        ("base_model: x\nrl: [" + "&a [" * 400 + "]" * 400 + "]\n", "plain YAML"),
        ("model_name_or_path: x\nstage: dpo\n", "stage: dpo"),
        ("base_model: x\na: &a [*a]\n", "holds itself"),
        ("base_model: x\nlora_alpha: 1" + "0" * 400 + "\n", "more than 64 bits"),
        ('base_model: x\nb: "\\ud800"\n', "half a character"),
        ("base_model: ~nosuch/x\n", "no such user's home"),
        ("base_model: x\ndatasets: [{path: ~nosuch/x.jsonl}]\n", "no such user's home"),
        ("model_name_or_path: x\ndataset_dir: ~nosuch/x\n", "no such user's home"),
        ("base_model: x\ndatasets[1].path: 3\n", "isn't one of any tool"),
    ],
    ids=[
        "neither",
        "twice",
        "list",
        "code",
        "torn",
        "deep",
        "preferences",
        "itself",
        "huge",
        "half",
        "model",
        "rows",
        "folder",
        "brackets",
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(Refusal, match=said):
        import_recipe(path)


def test_aliases_that_unfold_without_end_are_refused(tmp_path: Path) -> None:
    lines = ["base_model: x", "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    path = tmp_path / "bomb.yaml"
    few = ["base_model: x", "a0: &a0 [x, x, x]"]
    few += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    for text in (lines, few, ["base_model: x", f"a: &a {'x' * 10_000}", f"b: [{', '.join(['*a'] * 500)}]"]):
        path.write_text("\n".join(text))
        with pytest.raises(Refusal, match="aliases"):
            import_recipe(path)


def test_a_part_that_is_used_twice_is_read(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("base_model: x\nadapter: lora\na: &a {lora_r: 4}\n<<: *a\n")
    assert import_recipe(path).recipe.method.settings["rank"] == 4


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5000),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.text(string.ascii_letters + "_/.-", max_size=12),
    st.lists(st.text(string.ascii_letters + "_", min_size=1, max_size=6), max_size=3),
    st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=5), st.integers(0, 9), max_size=2),
)
STRANGE = st.text(string.ascii_lowercase + "_", min_size=3, max_size=12)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data(), factory=st.booleans())
def test_every_key_has_one_fate_and_the_recipe_is_valid_whatever_the_values(
    tmp_path: Path, data: st.DataObject, *, factory: bool
) -> None:
    base, module = (FACTORY, llama_factory) if factory else (AXOLOTL, axolotl)
    chosen = [*CHOICE_KEYS[module.TABLES.tool], *known(module.TABLES)]
    more = data.draw(st.dictionaries(st.one_of(st.sampled_from(chosen), STRANGE), VALUES, max_size=12))
    for fixed in ("base_model", "model_name_or_path", "stage", "finetuning_type", "rl"):
        more.pop(fixed, None)
    found = imported(tmp_path, base, **more)
    top = [entry.key for entry in found.entries if "[" not in entry.key]
    assert sorted(top) == sorted({**base, **more})
    assert recipe_text(found.recipe)
    for entry in found.entries:
        assert entry.fate != "left" or entry.why
        assert entry.fate != "carried" or entry.to


CHOICE_KEYS = {
    "Axolotl": [
        "adapter",
        "load_in_4bit",
        "peft_use_dora",
        "peft_use_rslora",
        "loraplus_lr_ratio",
        "peft_init_lora_weights",
        "lora_r",
        "lora_alpha",
        "lora_dropout",
        "lora_target_modules",
        "lora_target_linear",
        "gradient_accumulation_steps",
        "batch_size",
        "bf16",
        "bfloat16",
        "fp16",
        "float16",
        "float32",
        "sample_packing",
        "group_by_length",
        "gradient_checkpointing",
        "activation_checkpointing",
        "val_set_size",
        "eval_steps",
        "eval_strategy",
        "evaluation_strategy",
        "load_best_model_at_end",
        "warmup_steps",
        "warmup_ratio",
        "optimizer",
        "lr_scheduler",
        "datasets",
        "test_datasets",
        "chat_template",
        "chat_template_jinja",
    ],
    "LLaMA-Factory": [
        "quantization_bit",
        "quantization_type",
        "double_quantization",
        "lora_rank",
        "lora_alpha",
        "lora_dropout",
        "lora_target",
        "use_dora",
        "use_rslora",
        "pissa_init",
        "loraplus_lr_ratio",
        "oft_block_size",
        "oft_target",
        "bf16",
        "fp16",
        "packing",
        "neat_packing",
        "group_by_length",
        "train_sampling_strategy",
        "disable_gradient_checkpointing",
        "gradient_checkpointing",
        "activation_checkpointing",
        "val_size",
        "eval_steps",
        "load_best_model_at_end",
        "warmup_steps",
        "warmup_ratio",
        "optim",
        "lr_scheduler_type",
        "dataset",
        "eval_dataset",
        "template",
    ],
}
"""Keys that a choice is made of, which stand in no table."""
