"""`pegbox advise` as a person runs it: what it says, what it writes, and what it refuses in one line."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from pegbox.commands import advise
from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.registry import method_names
from pegbox_runs import advising
from pegbox_runs.models import BUNDLED
from pegbox_runs.preflight import check
from tests.commands import pegbox
from tests.methods.guests import drop
from tests.runs.made_up_machines import GIB, gpu, machine

ROWS = str(BUNDLED / "rows.jsonl")
LLAMA_8B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "vocab_size": 128256,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "max_position_embeddings": 8192,
}


def model_folder(folder: Path, **changes: Any) -> str:
    """Write a config.json, and nothing else."""
    folder.mkdir()
    whole = {key: value for key, value in {**LLAMA_8B, **changes}.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(whole))
    return str(folder)


def asked(model: str, **given: Any) -> Namespace:
    whole = {"data": None, "goal": [], "priority": None, "gpu": None, "vram": None, "price_per_hour": None}
    whole |= {"devices": None, "nodes": 1, "network": None}
    return Namespace(**{**whole, "write": None, "json": False, "model": model, **given})


def test_it_writes_a_recipe_that_the_runs_own_check_accepts(home: Path, tmp_path: Path) -> None:
    target = tmp_path / "recipe.toml"
    done = pegbox("advise", "bundled", "--data", ROWS, "--write", str(target), "--json", home=home)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    recipe = read_recipe(target)
    assert recipe.method.name == answer["method"]
    assert recipe.training.length == answer["settings"]["training"]["length"]
    assert recipe.method.settings == answer["settings"]["method"]["settings"]
    assert recipe.evaluation.micro_batch == recipe.training.micro_batch
    assert check(recipe, file=str(target)).recipe == recipe
    assert answer["command"] == f"pegbox train {target}"


@pytest.mark.slow
def test_the_recipe_trains(home: Path, tmp_path: Path) -> None:
    target = tmp_path / "recipe.toml"
    assert pegbox("advise", "bundled", "--data", ROWS, "--write", str(target), home=home).returncode == 0
    done = pegbox("train", str(target), "--set", "training.max_steps=3", "--plain", home=home)
    assert done.returncode == 0, done.stdout + done.stderr


def test_people_are_told_what_why_memory_alternatives_and_one_command(home: Path, tmp_path: Path) -> None:
    model = model_folder(tmp_path / "m")
    done = pegbox("advise", model, "--gpu", "3060", "--price-per-hour", "0.3", home=home, COLUMNS="80")
    assert done.returncode == 0, done.stderr
    for said in ("fits: qlora", "learning rate", "linear maps", "usable", "tokens/s", "price of the run", "lacks"):
        assert said in done.stdout
    folded = done.stdout.rpartition("Next")[0].splitlines()
    assert max(map(len, folded)) <= 80
    assert done.stdout.splitlines()[-1].strip().startswith("pegbox advise ")


def test_nothing_fits_is_exit_code_1_and_says_what_would_help(home: Path, tmp_path: Path) -> None:
    model, target = model_folder(tmp_path / "m"), tmp_path / "recipe.toml"
    done = pegbox("advise", model, "--vram", "4", "--data", ROWS, "--write", str(target), home=home)
    assert done.returncode == 1
    assert "doesn't fit: even qlora lacks" in done.stdout
    assert "would help: a model of at most" in done.stdout
    assert not target.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--goal", "qualty"], 'did you mean "quality"'),
        (["--gpu", "RTX 9999"], "--gpu RTX 9999: no card named"),
        (["--vram", "0"], "above 0"),
        (["--vram", "1e12"], "at most 100000"),
        (["--price-per-hour", "-1"], "0 or more"),
        (["--write", "recipe.toml"], "give --data FILE too"),
        (["--data", "nowhere.jsonl"], "there is no such file or folder of rows"),
        (["--goal", "speed,memory"], "exclude each other"),
        (["--gpu", "4090", "--devices", "0"], "from 1 to 4096"),
        (["--gpu", "4090", "--network", "10"], "name their number by --nodes"),
    ],
)
def test_bad_input_is_refused_in_one_line(home: Path, arguments: list[str], said: str) -> None:
    done = pegbox("advise", "bundled", *arguments, home=home)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_config_that_lacks_a_field_is_refused_by_the_fields_name(home: Path, tmp_path: Path) -> None:
    done = pegbox("advise", model_folder(tmp_path / "m", hidden_size=None), "--gpu", "T4", home=home)
    assert done.returncode == 2
    assert "hidden_size" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["nowhere/at-all", "./nowhere", "no\x1b[31msuch"])
def test_a_model_that_is_nowhere_is_refused_in_one_line(home: Path, name: str) -> None:
    done = pegbox("advise", name, home=home)
    assert done.returncode == 2
    assert "\x1b" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_packed_model_is_not_packed_again(home: Path, tmp_path: Path) -> None:
    awq = model_folder(tmp_path / "awq", quantization_config={"quant_method": "awq"})
    answer = json.loads(pegbox("advise", awq, "--gpu", "A100 80GB", "--json", home=home).stdout)
    assert answer["method"] != "qlora"
    packed = model_folder(tmp_path / "packed", quantization_config={"quant_method": "bitsandbytes"})
    assert "quantized already" in pegbox("advise", packed, "--gpu", "T4", home=home).stderr


def test_a_names_control_characters_show_and_do_nothing(home: Path, tmp_path: Path) -> None:
    odd = model_folder(tmp_path / "m\x1b[2J", model_type="ev\x1b[31mil")
    done = pegbox("advise", odd, "--gpu", "A100 80GB", home=home)
    assert "\x1b" not in done.stdout + done.stderr
    assert "\\x1b[31mil" in done.stdout


def test_a_second_gpu_is_named_in_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    taken = gpu(memory_free=3 * GIB)
    monkeypatch.setattr(advising, "probe", lambda: machine(taken, gpu(index=1, uuid="GPU-second")))
    monkeypatch.chdir(tmp_path)
    code = advise.run(asked(model_folder(tmp_path / "m"), data=ROWS, write="recipe.toml"))
    assert code == 0
    assert capsys.readouterr().out.strip().endswith("CUDA_VISIBLE_DEVICES=GPU-second pegbox train recipe.toml")


def test_several_gpus_are_planned_for_and_named_in_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(advising, "probe", lambda: machine(gpu(), gpu(index=1, uuid="GPU-second")))
    monkeypatch.chdir(tmp_path)
    model = model_folder(tmp_path / "m")
    assert advise.run(asked(model, data=ROWS, write="recipe.toml", devices=2)) == 0
    said = capsys.readouterr().out
    assert said.strip().endswith("CUDA_VISIBLE_DEVICES=GPU-8f3a,GPU-second pegbox train recipe.toml")
    assert "their memory doesn't add up" in " ".join(said.split())
    recipe = read_recipe(tmp_path / "recipe.toml")
    assert (recipe.devices.processes, recipe.devices.engine) == (2, "ddp")
    assert recipe.training.accumulation % 2 == 0
    assert advise.run(asked(model, data=ROWS, write="one.toml", devices=1)) == 0
    assert not read_recipe(tmp_path / "one.toml").devices.launched


def test_eight_small_cards_share_a_base_that_none_of_them_holds(home: Path, tmp_path: Path) -> None:
    model = model_folder(tmp_path / "m", hidden_size=8192, num_hidden_layers=80, intermediate_size=28672)
    done = pegbox("advise", model, "--gpu", "4090", "--devices", "8", home=home, COLUMNS="80")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    for part in (
        "on 8 x GeForce RTX 4090",
        "8 x GeForce RTX 4090 by FSDP2",
        "PCIe 4",
        "could carry the run",
        "8 processes take about",
    ):
        assert part in said
    assert max(map(len, done.stdout.rpartition("Next")[0].splitlines())) <= 80


def test_an_existing_file_is_never_written_over(home: Path, tmp_path: Path) -> None:
    target = tmp_path / "recipe.toml"
    target.write_text("mine")
    done = pegbox("advise", "bundled", "--data", ROWS, "--write", str(target), home=home)
    assert done.returncode == 2
    assert target.read_text() == "mine"


def test_methods_that_nothing_ranks_are_told_once_and_none_of_them_is_loaded(home: Path) -> None:
    drop(home, "bad.py", "raise SystemExit(7)")
    done = pegbox("advise", "bundled", "--gpu", "A100 80GB", "--json", home=home)
    advice = json.loads(done.stdout)
    told = {one["what"].partition(",")[0] for one in advice["alternatives"] if one["kind"] == "method"}
    assert set(advice["unranked"]) | told | {advice["method"]} == set(method_names())
    assert "bad" in advice["unranked"]
    assert done.stderr == ""
    said = pegbox("advise", "bundled", "--gpu", "A100 80GB", home=home, COLUMNS="80").stdout
    assert f"{len(advice['unranked'])} other methods are installed" in said
