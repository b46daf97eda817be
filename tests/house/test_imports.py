"""What each floor loads, seen in a clean process: a static graph can't see a deferred import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "transformers", "datasets", "trl", "peft", "accelerate", "bitsandbytes", "pandas"}
WINGS = {
    "pegbox": ROOT / "cli" / "pegbox",
    "pegbox_tui": ROOT / "tui" / "pegbox_tui",
    "pegbox_runs": ROOT / "runs" / "pegbox_runs",
    "pegbox_methods": ROOT / "methods" / "pegbox_methods",
    "pegbox_hardware": ROOT / "hardware" / "pegbox_hardware",
}


def loaded_by(statement: str, tmp_path: Path) -> set[str]:
    """Run a statement with an empty home and folder. Returns: the top-level names of all loaded modules."""
    program = f"{statement}\nimport sys, json; json.dump(sorted(sys.modules), sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.partition(".")[0] for name in json.loads(done.stderr)}


def modules_of(package: str) -> list[str]:
    """List a package's modules, but for entry scripts and torch halves."""
    folder = WINGS[package]
    names = []
    for file in sorted(folder.rglob("*.py")):
        if file.name == "__main__.py" or file.stem.endswith("_torch"):
            continue
        parts = file.relative_to(folder.parent).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


@pytest.mark.parametrize("package", WINGS)
def test_no_module_above_the_process_border_loads_anything_heavy(package: str, tmp_path: Path) -> None:
    names = modules_of(package)
    assert names
    assert not loaded_by(f"import {', '.join(names)}", tmp_path) & HEAVY


def test_looking_at_runs_and_at_this_machine_loads_nothing_that_reads_rows(tmp_path: Path) -> None:
    light = ("compare", "doctor", "methods", "runs", "stop", "watch")
    commands = ", ".join(f"pegbox.commands.{name}" for name in light)
    loaded = loaded_by(f"import {commands}, pegbox_tui.app, pegbox_tui.dashboard.screen", tmp_path)
    assert not loaded & {"numpy", "pyarrow", "tokenizers", "jinja2", "ftfy", "rensa"}


def test_the_first_frame_of_the_wizard_waits_for_nothing_that_reads_rows_or_asks_the_hub(tmp_path: Path) -> None:
    frame = (
        "import asyncio, sys; from pegbox.dispatch import dispatch; import pegbox.commands.wizard\n"
        "from pegbox_tui.wizard.app import WizardApp\n"
        "async def frame():\n"
        "    app = WizardApp(); app.bench.go = lambda: None\n"
        "    async with app.run_test() as pilot: assert pilot.app.screen.query('Trail'); loaded = sorted(sys.modules)\n"
        "    return loaded\n"
        "loaded = asyncio.run(frame())\n"
        "for name in set(sys.modules) - set(loaded): del sys.modules[name]"
    )
    loaded = loaded_by(frame, tmp_path)
    assert not loaded & (HEAVY | {"numpy", "pyarrow", "huggingface_hub", "tokenizers", "jinja2", "ftfy", "rensa"})


def test_the_front_door_loads_no_wing_and_no_library(tmp_path: Path) -> None:
    loaded = loaded_by("import pegbox", tmp_path)
    assert not loaded & (HEAVY | {"textual", "rich", "msgspec", "pluggy", *WINGS} - {"pegbox"})


def test_asking_for_the_version_loads_no_wing_and_no_library(tmp_path: Path) -> None:
    loaded = loaded_by("from pegbox.__main__ import main; main(['--version'])", tmp_path)
    assert not loaded & (HEAVY | {"textual", "rich", "msgspec", "pluggy", *WINGS} - {"pegbox"})


@pytest.mark.parametrize("package", ["pegbox_runs", "pegbox_methods", "pegbox_hardware"])
def test_nothing_below_the_screens_can_draw(package: str, tmp_path: Path) -> None:
    assert not loaded_by(f"import {', '.join(modules_of(package))}", tmp_path) & {"textual", "rich", "pegbox_tui"}


def test_the_screens_do_not_load_the_front_door(tmp_path: Path) -> None:
    assert "pegbox" not in loaded_by(f"import {', '.join(modules_of('pegbox_tui'))}", tmp_path)


def test_listing_method_names_imports_no_method(tmp_path: Path) -> None:
    program = (
        "import sys; from pegbox_methods.registry import method_names; assert 'lora' in method_names(); "
        "assert 'pegbox_methods.zoo.lora.card' not in sys.modules"
    )
    loaded_by(program, tmp_path)
