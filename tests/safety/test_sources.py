"""What no line of our sources does: run code that came with data, or hand strings to a shell."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Set
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
SOURCES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
STARTS = {"Popen", "run", "call", "check_call", "check_output"}
UNPICKLERS = {"pickle", "dill", "joblib", "cloudpickle", "marshal", "shelve"}
RUNS_CODE = {"torch.load", "numpy.load", "np.load", "yaml.load", "yaml.unsafe_load", "eval", "exec"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}


def faults(text: str) -> Iterator[str]:
    """Name what a source does that none may."""
    tree = ast.parse(text)
    safe = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and _is_safe_loader(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [name.name for name in node.names]
            yield from (f"import {name}" for name in names if name.partition(".")[0] in UNPICKLERS)
        if isinstance(node, ast.Call):
            yield from _faults_of_call(node, safe)


def _is_safe_loader(made: ast.ClassDef) -> bool:
    """Whether a class reads YAML as PyYAML's safe loader does."""
    return any(ast.unparse(base) in {"yaml.SafeLoader", "yaml.CSafeLoader"} for base in made.bases)


def _reads_plainly(name: str, call: ast.Call, safe: Set[str]) -> bool:
    """Whether a reader that could run code was told not to."""
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if name == "yaml.load":
        return given.get("Loader") in safe
    return name in {"np.load", "numpy.load"} and given.get("allow_pickle") == "False"


def _faults_of_call(call: ast.Call, safe: Set[str]) -> Iterator[str]:
    name = ast.unparse(call.func)
    if name in RUNS_CODE | SHELLS and not _reads_plainly(name, call, safe):
        yield name
    for keyword in call.keywords:
        said = ast.unparse(keyword.value)
        if keyword.arg == "trust_remote_code" and said != "False":
            yield f"trust_remote_code={said}"
        if keyword.arg == "shell" and said != "False":
            yield f"shell={said}"
        if keyword.arg == "use_safetensors" and said != "True":
            yield f"use_safetensors={said}"
        if keyword.arg == "weights_only":
            yield "weights_only, which only a pickle needs"
    if name.rpartition(".")[2] in STARTS and name.startswith("subprocess.") and call.args:
        first = call.args[0]
        if isinstance(first, ast.JoinedStr | ast.BinOp) or (
            isinstance(first, ast.Constant) and isinstance(first.value, str)
        ):
            yield f"{name} of a string"
    if name in {"AutoModelForCausalLM.from_pretrained", "AutoTokenizer.from_pretrained", "AutoConfig.from_pretrained"}:
        given = {keyword.arg for keyword in call.keywords}
        yield from (f"{name} without trust_remote_code=False" for _ in [0] if "trust_remote_code" not in given)
        if "Model" in name and not given & {"use_safetensors", "gguf_file"}:  # a GGUF file holds no pickle
            yield f"{name} without use_safetensors=True"


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_source_trusts_code_that_came_with_data_or_uses_a_shell(file: Path) -> None:
    assert list(faults(file.read_text())) == []


@pytest.mark.parametrize(
    "line",
    [
        "AutoTokenizer.from_pretrained(x, trust_remote_code=yes)",
        "AutoTokenizer.from_pretrained(x)",
        "AutoModelForCausalLM.from_pretrained(x, trust_remote_code=False)",
        "torch.load(f)",
        "np.load(f)",
        "np.load(f, allow_pickle=yes)",
        "yaml.load(f)",
        "yaml.load(f, Loader=yaml.Loader)",
        "class Own(yaml.Loader): ...\nyaml.load(f, Loader=Own)",
        "import~ pickle",
        "from pickle import loads",
        "subprocess.run('ls', shell=~True)",
        "subprocess.run(f'ls {x}')",
        "os.system~(x)",
        "eval(x)",
    ],
)
def test_the_scan_finds_what_it_looks_for(line: str) -> None:
    assert list(faults(line.replace("~", "")))  # another test looks for these very words in all of our files


def test_no_recipe_field_and_no_option_turns_remote_code_on() -> None:
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.AnnAssign | ast.arg):
                name = ast.unparse(node.target) if isinstance(node, ast.AnnAssign) else node.arg
                assert "remote_code" not in name, file
