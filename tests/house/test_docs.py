"""The documentation tells the truth of today."""

from __future__ import annotations

import re
import tomllib

import pytest

from pegbox import __version__
from pegbox_methods import events
from pegbox_methods.recipe_file import recipe_from_table
from pegbox_runs.arena import results
from tests.house.generated import ROOT, _attribute_docs, blocks, with_block


@pytest.mark.parametrize(("file", "name"), list(blocks()), ids=lambda part: str(part))
def test_generated_parts_are_fresh(file: str, name: str) -> None:
    text = (ROOT / file).read_text()
    assert with_block(text, name, blocks()[file, name]) == text, "run `make docs`"


def test_every_field_of_every_event_says_what_it_means() -> None:
    for kind, fields in _attribute_docs(events).items():
        for name, _, text in fields:
            assert len(text) > 5, f"{kind}.{name}"


def test_every_field_of_a_comparisons_results_says_what_it_means() -> None:
    for kind, fields in _attribute_docs(results).items():
        for name, _, text in fields:
            assert len(text) > 5, f"{kind}.{name}"


def test_every_recipe_in_the_documentation_is_accepted() -> None:
    shown = 0
    for file in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")):
        for block in re.findall(r"```toml\n(.*?)```", file.read_text(), re.DOTALL):
            table = tomllib.loads(block)
            if "model" in table and "rows" in table:
                recipe_from_table(table, file=str(file), folder=ROOT)
                shown += 1
    assert shown


def test_readme_opens_with_the_two_commands() -> None:
    first = (ROOT / "README.md").read_text().split("```")[1]
    assert [line for line in first.splitlines() if line.startswith("make")] == ["make demo", "make test"]


def test_every_link_into_the_repository_leads_somewhere() -> None:
    for file in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("*/README.md"),
        *ROOT.glob("plugins/*/*.md"),
    ):
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", file.read_text()):
            if "://" not in target:
                assert (file.parent / target).exists(), f"{file.name} -> {target}"


def test_the_changelog_knows_this_version() -> None:
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
