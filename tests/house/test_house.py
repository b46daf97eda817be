"""The rules of the house that can be counted."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = [ROOT / package for package in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]
SOURCES = sorted(file for package in PACKAGES for file in package.rglob("*.py"))
ALLOWED_TOP = {
    *("cli", "tui", "runs", "methods", "hardware", "plugins", "tests", "docs", ".ci", "pyproject.toml"),
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", ".gitignore"),
}
MOST_LINES = 300
MOST_FUNCTION_LINES = 60


def tracked() -> list[str]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return done.stdout.splitlines()


def test_the_top_level_holds_what_the_design_names_and_nothing_else() -> None:
    assert {name.partition("/")[0] for name in tracked()} == ALLOWED_TOP


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_each_package_is_typed_and_its_wing_has_a_front_door(package: Path) -> None:
    assert (package / "py.typed").is_file()
    assert (package.parent / "README.md").read_text().startswith("# ")


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_file_and_no_function_is_a_giant(file: Path) -> None:
    text = file.read_text()
    assert text.count("\n") <= MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno <= MOST_FUNCTION_LINES, node.name


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_module_and_every_public_thing_in_it_has_a_docstring(file: Path) -> None:
    tree = ast.parse(file.read_text())
    assert ast.get_docstring(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for inner in node.body:
                public = isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_")
                assert not public or ast.get_docstring(inner) or _is_override(node), f"{node.name}.{inner.name}"


def _is_override(node: ast.ClassDef) -> bool:
    return any("Function" in ast.unparse(base) for base in node.bases)


def test_nothing_speaks_of_one_machine_or_sets_trust_remote_code_or_uses_pickle() -> None:
    forbidden = re.compile(
        r"/(work|root)/\w|shell=True|os\.system\(|import pickle|trust_remote_code\s*=\s*True|\butils\b\.py"
    )
    for name in tracked():
        path = ROOT / name
        if path.suffix in {".py", ".toml", ".md", ".sh"} and path != Path(__file__):
            assert not forbidden.search(path.read_text(encoding="utf-8", errors="replace")), name


def test_every_dependency_says_why_it_is_there() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    block = text[text.index("dependencies = [") : text.index("[project.scripts]")]
    for line in block.splitlines():
        if line.strip().startswith('"'):
            assert "#" in line, line


def test_the_constraints_pin_every_dependency_and_torch_to_the_tested_version() -> None:
    pins = dict(
        line.split("==") for line in (ROOT / ".ci" / "constraints.txt").read_text().splitlines() if "==" in line
    )
    assert pins["torch"] == "2.13.0"
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *(one for extra in extras.values() for one in extra)]
    wanted = [one for one in wanted if not one.startswith("pegbox[")]
    names = {re.split(r"[<>=;\s]", dependency)[0].lower().replace("_", "-") for dependency in wanted}
    assert names <= {name.lower().replace("_", "-") for name in pins}
