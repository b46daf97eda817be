"""The fence: a distribution that does everything wrong costs its own methods, and nothing else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.commands import pegbox, write_recipe_text
from tests.plugins.installing import run_python

ORIGIN = "pegbox-broken-on-purpose 0.1.0"
LEFT_OUT = {
    "broken-exits": "SystemExit: 3",
    "broken-hangs": "it takes longer than",
    "broken-imports": "ModuleNotFoundError: No module named 'a_library_that_nobody_has'",
    "broken-lacks": "missing 9 required keyword-only arguments",
    "broken-misspells": "unknown hook 'pegbox_crad'",
    "broken-missing": "ModuleNotFoundError: No module named 'pegbox_broken.no_such_module'",
    "broken-named": 'installed as "broken-named" but its card is called "another-name"',
    "broken-raises": "ZeroDivisionError: on purpose",
    "broken-shape": "card.settings: expected a tuple of Setting, got list",
}
COME_IN = {"broken-half", "broken-prints", "broken-slow"}


@pytest.fixture(scope="module")
def listed(broken_guests: Path, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """Give the answer of `pegbox methods --json` beside them; it waits for the one that hangs."""
    return pegbox("methods", "--json", home=tmp_path_factory.mktemp("home"), PYTHONPATH=str(broken_guests))


def test_the_list_answers_with_every_other_method(listed: subprocess.CompletedProcess[str]) -> None:
    assert listed.returncode == 0, listed.stderr
    names = {method["name"] for method in json.loads(listed.stdout)["methods"]}
    assert names.issuperset(COME_IN | {"lora", "adalora", "qlora"})
    assert not names & (LEFT_OUT.keys() | {"another-name"})


def test_each_broken_one_is_one_warning_that_says_what_is_wrong(listed: subprocess.CompletedProcess[str]) -> None:
    warnings = json.loads(listed.stdout)["warnings"]
    for name, reason in LEFT_OUT.items():
        (warning,) = (warning for warning in warnings if f'"{name}"' in warning and ORIGIN in warning)
        assert reason in warning
        assert "\n" not in warning


def test_a_taken_name_stays_with_its_first_owner(listed: subprocess.CompletedProcess[str]) -> None:
    answer = json.loads(listed.stdout)
    assert [method["title"] for method in answer["methods"] if method["name"] == "lora"] == ["LoRA"]
    assert any(f'{ORIGIN}: the name "lora" is taken' in warning for warning in answer["warnings"])


def test_a_slow_one_is_listed_and_named(listed: subprocess.CompletedProcess[str]) -> None:
    (warning,) = (text for text in json.loads(listed.stdout)["warnings"] if "broken-slow" in text)
    assert "s to come in" in warning


def test_what_a_plugin_prints_stays_out_of_json(listed: subprocess.CompletedProcess[str]) -> None:
    assert "this is no JSON" in listed.stderr
    assert "this is no JSON" not in listed.stdout


def test_asking_for_another_method_imports_none_of_them(broken_guests: Path, home: Path) -> None:
    program = (
        "import sys; from pegbox_methods.registry import find_card, method_names; "
        "assert 'broken-hangs' in method_names(); assert find_card('lora').title == 'LoRA'; "
        "assert 'pegbox_broken' not in sys.modules"
    )
    done = run_python("-c", program, seeing=broken_guests, home=home)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["broken-exits", "broken-raises", "broken-shape"])
def test_a_run_with_a_broken_one_is_refused_with_the_reason_and_leaves_nothing(
    broken_guests: Path, home: Path, tmp_path: Path, name: str
) -> None:
    recipe = write_recipe_text(tmp_path, method={"name": name})
    done = pegbox("train", str(recipe), home=home, PYTHONPATH=str(broken_guests))
    assert done.returncode == 2
    assert LEFT_OUT[name] in done.stderr
    assert not (home / "runs").exists()


@pytest.mark.slow
def test_a_run_whose_half_is_missing_fails_and_says_so(broken_guests: Path, home: Path, tmp_path: Path) -> None:
    recipe = write_recipe_text(tmp_path, method={"name": "broken-half"})
    done = pegbox("train", str(recipe), "--json", home=home, PYTHONPATH=str(broken_guests))
    assert done.returncode == 1
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["event"] == "failed"
    assert "has no attribute 'nothing'" in last["what"]
