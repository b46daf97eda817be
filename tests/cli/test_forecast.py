"""pegbox forecast: its JSON, its exit codes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pegbox import asked_setup
from pegbox.__main__ import main
from pegbox_hardware.forecast.memory import Forecast
from pegbox_hardware.model_config import shape_of
from pegbox_methods.registry import find_card, method_names
from pegbox_runs.models import BUNDLED
from tests.commands import write_recipe_text
from tests.methods.guests import drop, source
from tests.models_by_name import CONFIGS
from tests.runs.made_up_machines import GIB, gpu, machine

KEYS = {
    "allocated_bytes",
    "card_bytes",
    "safe_bytes",
    "low_bytes",
    "high_bytes",
    "items",
    "peak_phase",
    "trainable_weights",
    "fits",
    "level",
}


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIGS["llama-3.1-8b"]))
    return path


def answer(capfd: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    assert main(["forecast", *arguments, "--json"]) == code
    printed: dict[str, Any] = json.loads(capfd.readouterr().out)
    return printed


def refusal(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["forecast", *arguments]) == 2
    said = capfd.readouterr().err
    assert said.count("\n") == 1, said
    return said


def test_every_option_of_a_set_up_is_taken(llama: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = answer(
        capfd,
        *("--config", str(llama), "--method", "qlora", "--rank", "16", "--targets", "q_proj,v_proj"),
        *("--micro-batch", "4", "--length", "2048", "--checkpointing", "off", "--optimizer", "paged_adamw_8bit"),
        *("--dtype", "bf16", "--adapter-dtype", "bf16", "--autocast", "off", "--quantization", "nf4"),
        *("--kbit-casts", "on", "--dropout", "0.1", "--loss", "full", "--attention", "eager", "--padding", "off"),
        *("--level", "analytic", "--gpu", "B200"),
    )
    assert set(said) >= KEYS
    assert said["level"] == "analytic"
    assert said["fits"] is True
    assert said["trainable_weights"] == 32 * 16 * (8192 + 5120)
    assert sum(said["items"].values()) == said["allocated_bytes"]
    setup = said["setup"]
    assert setup["targets"] == ["q_proj", "v_proj"]
    assert (setup["quantization"], setup["kbit_casts"], setup["padding"], setup["autocast"]) == (
        "nf4",
        True,
        False,
        False,
    )


def test_a_folder_serves_as_well_as_its_config(llama: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert answer(capfd, "--config", str(llama.parent)) == answer(capfd, "--config", str(llama))


def test_the_defaults_are_what_training_does(llama: Path, capfd: pytest.CaptureFixture[str]) -> None:
    setup = answer(capfd, "--config", str(llama))["setup"]
    assert (setup["method"], setup["rank"], setup["dropout"]) == ("lora", 16, 0.05)
    assert (setup["adapter_dtype"], setup["quantization"]) == ("fp32", "none")
    packed = answer(capfd, "--config", str(llama), "--method", "qlora")["setup"]
    assert (packed["adapter_dtype"], packed["quantization"]) == ("fp32", "nf4-double")
    whole = answer(capfd, "--config", str(llama), "--method", "full")["setup"]
    assert (whole["dtype"], whole["autocast"]) == ("fp32", True)  # what trains is held in fp32


def test_on_an_older_card_the_computation_is_in_fp16(llama: Path, capfd: pytest.CaptureFixture[str]) -> None:
    setup = answer(capfd, "--config", str(llama), "--method", "qlora", "--gpu", "T4")["setup"]
    assert (setup["dtype"], setup["adapter_dtype"]) == ("fp16", "fp32")


def test_what_does_not_fit_ends_with_one(llama: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = answer(capfd, "--config", str(llama), "--gpu", "RTX 3060", code=1)
    assert said["fits"] is False
    assert said["safe_bytes"] > said["device"]["memory_free"]


def test_a_card_by_its_memory_alone(llama: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert answer(capfd, "--config", str(llama), "--vram", "80")["fits"] is True


def test_people_get_a_picture_in_eighty_columns(
    llama: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["forecast", "--config", str(llama), "--gpu", "RTX 4090"]) == 0
    said = capfd.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    for word in ("allocated", "card", "safe", "range", "linear maps", "tokens/s", "fits"):
        assert word in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rank", "-3"], "--rank -3: the method lora takes a whole number from 1 to 4096"),
        (["--micro-batch", "0"], "--micro-batch 0"),
        (["--length", "4"], "--length 4"),
        (["--dropout", "1.5"], "--dropout 1.5"),
        (["--targets", "w_pack"], "the model has no w_pack; its linear maps are q_proj"),
        (["--method", "lroa"], 'did you mean "lora"?'),
        (["--gpu", "RTX 4091"], "RTX 4090"),
        (["--gpu", "T4", "--vram", "16"], "one of the two"),
        (["--vram", "-1"], "--vram -1"),
        (["--transformers", "new"], "expected a version"),
        (["bundled"], "one of the three"),
        (["--recipe", "recipe.toml"], "one of the three"),
        (["--level", "measured"], "--recipe PATH"),
    ],
)
def test_nonsense_is_refused_in_one_line(
    llama: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert words in refusal(capfd, "--config", str(llama), *arguments)


def test_a_config_that_lacks_a_field_is_refused_by_the_fields_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({k: v for k, v in CONFIGS["llama-3.1-8b"].items() if k != "vocab_size"}))
    assert "gives no number for vocab_size" in refusal(capfd, "--config", str(path))


def test_a_config_that_is_not_there_or_is_no_json_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "there is no such file" in refusal(capfd, "--config", str(tmp_path / "nowhere.json"))
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    assert "can't be read as JSON" in refusal(capfd, "--config", str(broken))
    broken.write_text("[]")
    assert "expected a JSON object" in refusal(capfd, "--config", str(broken))


def test_an_unknown_architecture_is_forecast_with_a_wide_range(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**CONFIGS["llama-3.1-8b"], "model_type": "\x1b[31mzebra"}))
    said = answer(capfd, "--config", str(path))
    assert said["low_bytes"] <= 0.85 * said["allocated_bytes"]
    assert said["high_bytes"] >= 1.15 * said["card_bytes"]
    assert main(["forecast", "--config", str(path)]) == 0
    assert "\x1b" not in capfd.readouterr().out


def test_the_bundled_model_goes_by_its_name(capfd: pytest.CaptureFixture[str]) -> None:
    assert answer(capfd, "bundled", "--length", "256")["allocated_bytes"] < 2**30


def test_a_recipe_brings_its_set_up(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recipe = write_recipe_text(tmp_path, method={"name": "dora"}, evaluation={"micro_batch": 16})
    setup = answer(capfd, "--recipe", str(recipe))["setup"]
    assert (setup["method"], setup["rank"], setup["micro_batch"], setup["length"]) == ("dora", 16, 4, 256)
    assert (setup["accumulation"], setup["evaluation_batch"], setup["dtype"]) == (2, 16, "fp32")


def test_a_recipe_can_be_measured_here(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEGBOX_HOME", str(tmp_path / "home"))
    recipe = write_recipe_text(tmp_path, training={"length": 64, "micro_batch": 2, "accumulation": 1})
    said = answer(capfd, "--recipe", str(recipe), "--level", "measured")
    assert set(said) >= KEYS
    assert (said["level"], said["fits"]) == ("measured", True)
    assert 0 < said["allocated_bytes"] < said["card_bytes"] <= said["safe_bytes"]
    assert any("tokens/s" in note for note in said["notes"])
    assert not (tmp_path / "home" / "runs").exists()


def test_a_measurement_that_runs_out_of_memory_does_not_fit(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_recipe_text(tmp_path)
    shown = forecast_memory_of_bundled(ran_out=True)
    monkeypatch.setattr("pegbox.commands.forecast.measured", lambda *_, **__: shown)
    assert answer(capfd, "--recipe", str(recipe), "--level", "measured", code=1)["fits"] is False


def forecast_memory_of_bundled(*, ran_out: bool) -> Forecast:
    return Forecast(
        level="measured",
        allocated_bytes=1,
        card_bytes=2,
        safe_bytes=2,
        low_bytes=1,
        high_bytes=2,
        items={},
        phases={"worst shape": 1},
        peak_phase="worst shape",
        trainable_weights=1,
        ran_out=ran_out,
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method", "full", "--quantization", "nf4"], "can't be in 4 bits"),
        (["--method", "qlora", "--quantization", "none"], "trains on a 4-bit base alone"),
        (["--method", "loha", "--quantization", "nf4"], "can't train on a 4-bit base: "),
        (["--rank", "5000"], "--rank 5000: the method lora takes a whole number from 1 to 4096"),
        (["--kbit-casts", "on"], "prepares a 4-bit base"),
        (["--targets", " , "], "names no linear map"),
        (["--vram", "16", "--method", "boft", "--gpu", "T4"], "one of the two"),
        (["--gpu", "M3 Max", "--method", "qlora"], "bitsandbytes"),
        (["--level", "simulated", "--loss", "chunked"], "no library that is simulated"),
        (["--config", "~nosuchuser/config.json"], "there is no such user's home"),
    ],
)
def test_what_no_run_could_be_is_refused_in_one_line(
    llama: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    given = arguments if "--config" in arguments else ["--config", str(llama), *arguments]
    assert words in refusal(capfd, *given)


def test_more_positions_than_a_model_learned_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIGS["gpt2-medium"]))
    assert "learned 1024 positions" in refusal(capfd, "--config", str(path), "--length", "2048")


def test_blanks_and_capitals_do_not_matter(llama: Path, capfd: pytest.CaptureFixture[str]) -> None:
    setup = answer(capfd, "--config", str(llama), "--method", "LoRA", "--targets", "q_proj, v_proj")["setup"]
    assert (setup["method"], setup["targets"]) == ("lora", ["q_proj", "v_proj"])


def test_a_forecast_for_a_processor_is_what_the_advice_says(llama: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = answer(capfd, "--config", str(llama), "--gpu", "CPU", code=1)
    assert (said["setup"]["dtype"], said["setup"]["autocast"], said["fits"]) == ("fp32", False, False)
    assert "on a processor" in said["notes"][-1]


def test_dora_takes_longer_than_lora(llama: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ("--config", str(llama), "--gpu", "A100 80GB", "--dropout", "0")
    plain, dora = (answer(capfd, *arguments, "--method", method)["step_time"]["seconds"] for method in ("lora", "dora"))
    assert dora == pytest.approx(1.26 * plain, rel=0.02)


def test_an_unknown_mixture_of_experts_is_counted_with_its_experts(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = {**CONFIGS["qwen3-30b-a3b"], "model_type": "zebra_moe", "architectures": ["ZebraForCausalLM"]}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    said = answer(capfd, "--config", str(path), "--gpu", "RTX 4090", code=1)
    assert said["allocated_bytes"] > 50 * 2**30
    assert said["low_bytes"] <= 0.5 * said["allocated_bytes"]


def test_the_simulation_builds_what_level_1_cannot_read(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "opt", "hidden_size": 64, "ffn_dim": 256, "vocab_size": 512}))
    assert "--level simulated" in refusal(capfd, "--config", str(path))
    seen: list[dict[str, Any]] = []

    def simulated(config: dict[str, Any], *_: Any, **__: Any) -> Forecast:
        seen.append(config)
        return forecast_memory_of_bundled(ran_out=False)

    monkeypatch.setattr("pegbox.commands.forecast.simulated", simulated)
    assert answer(capfd, "--config", str(path), "--level", "simulated")["allocated_bytes"] == 1
    assert seen[0]["model_type"] == "opt"


def test_for_a_processor_no_figure_is_called_the_cards(llama: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["forecast", "--config", str(llama), "--gpu", "CPU"]) == 1
    said = capfd.readouterr().out
    assert "nvidia-smi" not in said
    assert "of RAM in all" in said


def test_what_is_simulated_for_a_processor_is_widened_for_it(
    llama: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = forecast_memory_of_bundled(ran_out=False)
    monkeypatch.setattr("pegbox.commands.forecast.simulated", lambda *_, **__: shown)
    said = answer(capfd, "--config", str(llama), "--gpu", "CPU", "--level", "simulated")
    assert said["safe_bytes"] > shown.safe_bytes
    assert "on a processor" in said["notes"][-1]


GUEST = """dict(
    footprint=lambda shape, settings: Footprint(
        trainable_weights=1000 * settings["rank"], step_time_ratio=None, step_time_source="nobody's"
    )
)"""


def test_a_guests_method_is_priced_by_its_own_card(llama: Path, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    drop(home, "guest.py", source("guest", before="from pegbox_methods import Footprint", changes=f"**{GUEST}"))
    said = answer(capfd, "--config", str(llama), "--method", "guest", "--rank", "7")
    assert said["trainable_weights"] == 7000
    assert said["low_bytes"] <= 0.8 * said["allocated_bytes"]
    assert "--rank 78: the method guest takes a whole number from 1 to 77" in refusal(
        capfd, "--config", str(llama), "--method", "guest", "--rank", "78"
    )


def test_a_guest_whose_footprint_breaks_is_told_by_its_error(
    llama: Path, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    drop(home, "odd.py", source("odd", changes="footprint=lambda shape, settings: settings['width']"))
    said = refusal(capfd, "--config", str(llama), "--method", "odd")
    assert "its card can't price this model: KeyError: 'width'" in said


def test_a_word_for_targets_that_is_a_methods_own_is_priced_by_its_card(
    llama: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe_text(tmp_path, method={"name": "ia3"}, model={"name": "bundled"})
    code = main(["forecast", "--recipe", str(recipe), "--json"])
    assert code in (0, 1)
    model = json.loads((BUNDLED / "model" / "config.json").read_text())
    assert json.loads(capfd.readouterr().out)["trainable_weights"] == model["num_hidden_layers"] * (
        model["hidden_size"] * 2 + model["intermediate_size"]
    )


@pytest.mark.parametrize("name", method_names())
def test_every_method_is_priced_with_the_weights_of_its_own_card_and_its_own_defaults(
    name: str, llama: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    card = find_card(name)
    shape, why = shape_of(json.loads(llama.read_text()))
    assert shape is not None, why
    settings = {setting.name: setting.default for setting in card.settings}
    said = answer(capfd, "--config", str(llama), "--method", name)
    assert said["trainable_weights"] == card.footprint(shape, settings).trainable_weights
    assert said["setup"]["quantization"] == ("nf4-double" if card.needs.quantized_base else "none")


def test_full_fine_tunings_work_is_counted_and_its_ratio_not_applied_on_top(
    llama: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--config", str(llama), "--gpu", "B200", "--dropout", "0")
    plain, full = (answer(capfd, *arguments, "--method", method)["step_time"] for method in ("lora", "full"))
    assert full["flops_per_token"] > 1.25 * plain["flops_per_token"]
    assert full["seconds"] < 2 * plain["seconds"]


def test_several_devices_are_forecast_each_by_itself(llama: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = ("--config", str(llama), "--gpu", "RTX 4090", "--micro-batch", "1")
    one = answer(capfd, *config)
    ddp = answer(capfd, *config, "--devices", "4")
    parted = answer(capfd, *config, "--devices", "4", "--engine", "fsdp2")
    assert ddp["items"]["linear maps"] == one["items"]["linear maps"]
    assert parted["items"]["linear maps"] * 4 == pytest.approx(one["items"]["linear maps"], rel=0.01)
    assert one["step_time"]["communication"] is None
    assert parted["step_time"]["communication"]["bytes"] > 90 * ddp["step_time"]["communication"]["bytes"]
    assert ddp["setup"]["accumulation"] == 1


def test_the_ram_of_several_processes_is_forecast_and_a_machine_that_cannot_hold_it_is_no_fit(
    llama: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ("--config", str(llama), "--method", "qlora", "--micro-batch", "1", "--accumulation", "8")
    several = ("--devices", "8", "--engine", "fsdp2")
    planned = ("--gpu", "RTX 4090", *several)
    assert answer(capfd, *config, "--gpu", "RTX 4090")["host"] is None
    host = answer(capfd, *config, *planned)["host"]
    assert host["processes"] == 8
    assert host["low_bytes"] < host["bytes"] < host["high_bytes"]
    assert main(["forecast", *config, *planned]) == 0
    told = " ".join(capfd.readouterr().out.split())
    assert "RAM: 8 processes take about" in told
    assert "so much must be free on each machine" in told
    many = [gpu(index=n, uuid=f"GPU-{n}") for n in range(8)]
    small = machine(*many, memory_total=8 * GIB, memory_available=7 * GIB)
    monkeypatch.setattr(asked_setup, "probe", lambda: small)
    assert main(["forecast", *config, *several]) == 1
    told = " ".join(capfd.readouterr().out.split())
    assert "7.0 of this machine's 8.0 GiB are free" in told
    assert "does not fit: the machine's RAM is too small for that; take fewer processes" in told


def test_a_recipe_is_priced_on_the_kind_of_cards_that_it_would_start_on(
    llama: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    roomy = [gpu(index=n, uuid=f"A{n}", name="NVIDIA RTX A6000", compute_capability="8.6") for n in range(2)]
    roomy = [msgspec.structs.replace(card, memory_total=48 * GIB, memory_free=47 * GIB) for card in roomy]
    fast = [gpu(index=n, uuid=f"L{n}", name="NVIDIA L40S") for n in (2, 3)]
    fast = [msgspec.structs.replace(card, memory_total=46 * GIB, memory_free=45 * GIB) for card in fast]
    monkeypatch.setattr(asked_setup, "probe", lambda: machine(*roomy, *fast))
    tables = {"model": {"name": str(llama.parent)}, "training": {"accumulation": 2}, "devices": {"processes": 2}}
    recipe = write_recipe_text(llama.parent, **tables)
    assert answer(capfd, "--recipe", str(recipe))["device"]["name"] == "NVIDIA L40S"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--devices", "3"), "3 devices don't part it alike; take a multiple of 3, such as 3"),
        (("--engine", "fsdp2"), "name their number by --devices"),
        (("--devices", "2", "--engine", "fsdp2", "--method", "pissa"), "singular value decomposition"),
        (("--devices", "2", "--level", "simulated"), "--level analytic prices several"),
        (("--nodes", "0"), "expected a whole number from 1"),
    ],
)
def test_what_several_devices_cannot_do_is_refused(
    llama: Path, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert said in refusal(capfd, "--config", str(llama), "--gpu", "RTX 4090", *arguments)
