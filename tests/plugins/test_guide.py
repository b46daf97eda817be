"""docs/write-a-method.md, done: every block is what it says, or is put where it says and run."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import pytest
from safetensors.torch import load_file

from pegbox_methods.card import ABILITIES, Card
from pegbox_methods.certificate import CHECKS
from pegbox_methods.fence import LIMIT_SECONDS
from pegbox_methods.setting import Kind
from pegbox_methods.torch_half import Attached
from pegbox_runs.models import BUNDLED
from tests.commands import pegbox
from tests.plugins.installing import DROP_INS, ROOT, install, method_of, run_python

TEXT = (ROOT / "docs" / "write-a-method.md").read_text()
BLOCK = re.compile(r"(?:^(In )?`([\w./-]+)`:\n\n)?^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
METHOD, PACKAGE = "my-lora", "pegbox_my_lora"


def blocks(language: str) -> list[tuple[str, bool, str]]:
    """List the guide's blocks in one language, as (file they name, whether they are a part of it, text)."""
    return [(file, bool(part), text) for part, file, kind, text in BLOCK.findall(TEXT) if kind == language]


def whole_files(file: str) -> list[str]:
    return [text for name, part, text in blocks("python") if name.endswith(file) and not part]


def parts(file: str) -> list[str]:
    return [text for name, part, text in blocks("python") if name.endswith(file) and part]


def written(folder: Path, home: Path) -> Path:
    """Run the guide's first command. Returns: the distribution's folder."""
    target = folder / f"pegbox-{METHOD}"
    done = pegbox("new-method", METHOD, "--folder", str(target), home=home)
    assert done.returncode == 0, done.stderr
    return target


def replaced(source: str, definition: str) -> str:
    """Put a class or function in the place of the one with its name."""
    (new,) = ast.parse(definition).body
    assert isinstance(new, ast.ClassDef | ast.FunctionDef)
    (old,) = (node for node in ast.parse(source).body if getattr(node, "name", None) == new.name)
    lines = source.splitlines(keepends=True)
    return "".join((*lines[: old.lineno - 1], definition, *lines[old.end_lineno :]))


def certified(seeing: Path, home: Path, *names: str) -> subprocess.CompletedProcess[str]:
    return run_python("-m", "pegbox", "certify", *(names or (METHOD,)), "--json", seeing=seeing, home=home)


def outcomes(done: subprocess.CompletedProcess[str]) -> dict[str, tuple[str, str]]:
    """Read a certificate as check -> (outcome, detail)."""
    (certificate,) = json.loads(done.stdout)["certificates"].values()
    return {check["name"]: (check["outcome"], check["detail"]) for check in certificate["checks"]}


def test_the_commands_are_those_that_new_method_names(tmp_path: Path, home: Path) -> None:
    (_, _, shown) = blocks("sh")[0]
    new, *others = shown.splitlines()
    done = pegbox(*new.split()[1:], "--folder", str(tmp_path / f"pegbox-{METHOD}"), "--json", home=home)
    named = [line.replace(f"{tmp_path}/", "") for line in json.loads(done.stdout)["next"]]
    assert [re.sub(r"^\S*python3? ", "python ", line) for line in named] == others


def test_the_files_shown_are_those_that_new_method_writes(tmp_path: Path, home: Path) -> None:
    folder = written(tmp_path, home)
    for name in ("card.py", "half_torch.py"):
        assert whole_files(f"{PACKAGE}/{name}")[0] == (folder / "src" / PACKAGE / name).read_text()
    (_, _, door) = blocks("toml")[0]
    assert door in (folder / "pyproject.toml").read_text()


def test_the_tables_leave_nothing_out() -> None:
    rows = set(re.findall(r"^\| (.+?) \|", TEXT, re.MULTILINE))
    first = {word for row in rows for word in re.findall(r"`\"?([\w-]+)\"?`", row)}
    fields = {*Attached.__dataclass_fields__, *Card.__dataclass_fields__} - {"model"}
    assert first >= {*CHECKS, *ABILITIES, *get_args(Kind), *fields}
    assert f"takes longer than {LIMIT_SECONDS:g} s" in TEXT


def test_every_python_block_is_python() -> None:
    assert len(blocks("python")) == 7
    for name, _, text in blocks("python"):
        assert name
        ast.parse(text)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # two certificates and a run, beside busy neighbours
def test_the_method_of_the_guide_is_certified_changed_caught_mended_trained_and_merged(
    tmp_path: Path, home: Path
) -> None:
    folder = written(tmp_path, home)
    package = folder / "src" / PACKAGE

    half = package / "half_torch.py"
    half.write_text(replaced(half.read_text(), parts("half_torch.py")[0]))
    half_changed = install(tmp_path / "half changed", folder)
    done = certified(half_changed, home)
    assert done.returncode == 1
    failed = {name: detail for name, (outcome, detail) in outcomes(done).items() if outcome == "failed"}
    shown = " ".join(blocks("text")[0][2].split())
    assert shown == f"count failed {failed.pop('count')}"
    assert not failed

    card = package / "card.py"
    card.write_text(replaced(card.read_text(), parts("card.py")[0]))
    mended = install(tmp_path / "mended", folder)
    done = certified(mended, home)
    assert done.returncode == 0, done.stdout

    done = pegbox("train", str(folder / "recipe.toml"), "--json", home=home, PYTHONPATH=str(mended))
    assert done.returncode == 0, done.stdout[-1000:]
    events = [json.loads(line) for line in done.stdout.splitlines()]
    losses = [event["loss"] for event in events if event["event"] == "evaluation"]
    assert min(losses[1:]) < losses[0] / 2
    (run,) = (home / "runs").iterdir()

    script = tmp_path / "merge.py"
    script.write_text(whole_files("merge.py")[0])
    base, merged = BUNDLED / "model", tmp_path / "merged"
    done = run_python(str(script), METHOD, str(base), str(run / "adapter"), str(merged), seeing=mended, home=home)
    assert done.returncode == 0, done.stderr
    before, after = (load_file(place / "model.safetensors") for place in (base, merged))
    assert before.keys() == after.keys()
    moved = {name.rpartition(".")[0] for name in before if not before[name].equal(after[name])}
    assert moved
    assert all(name.endswith("_proj") for name in moved)


@pytest.mark.slow
def test_the_half_through_peft_is_certified_with_the_same_card_and_so_are_drop_ins(tmp_path: Path, home: Path) -> None:
    """All by one command, which makes what they are tried with once."""
    folder = written(tmp_path, home)
    (folder / "src" / PACKAGE / "half_torch.py").write_text(whole_files("half_torch.py")[1])
    (home / "methods").mkdir(parents=True, mode=0o700)
    shown = home / "methods" / "attention_rslora.py"
    shown.write_text(whole_files(shown.name)[0])
    for source in DROP_INS:
        shutil.copyfile(source, home / "methods" / source.name)
    files = sorted((home / "methods").iterdir())
    for file in files:
        file.chmod(0o600)
    names = {method_of(file): file for file in files}
    assert len(names) == len(DROP_INS) + 1
    done = certified(install(tmp_path / "installed", folder), home, METHOD, *names)
    assert done.returncode == 0, done.stdout
    certificates = json.loads(done.stdout)["certificates"]
    assert certificates.keys() == {METHOD, *names}
    assert {check["name"]: check["outcome"] for check in certificates[METHOD]["checks"]}["peft"] == "passed"
    for name, file in names.items():
        assert certificates[name]["origin"] == f"drop-in {file.name}"
