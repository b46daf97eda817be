"""Which runs may be talked to together, and in which form each is asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pegbox_methods.recipe import Recipe, Rows
from pegbox_methods.refusal import Refusal
from pegbox_runs.chatting.as_trained import as_trained
from pegbox_runs.chatting.speakers import speakers
from pegbox_runs.models import BUNDLED
from tests.pretended_chat import BUNDLED as MODEL
from tests.runs.test_tuned import base_at, run_on

USER, ASSISTANT = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}


def trained_on(folder: Path, *rows: dict[str, Any]) -> Recipe:
    path = folder / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return Recipe(model=MODEL, rows=Rows(file=str(path)))


def with_system(*said: str) -> list[dict[str, Any]]:
    return [{"messages": [{"role": "system", "content": one}, USER, ASSISTANT]} for one in said]


@pytest.mark.parametrize(
    ("rows", "templated", "system"),
    [
        ([{"messages": [USER, ASSISTANT]}], True, ""),
        (with_system("Be brief.", "Be brief."), True, "Be brief."),
        (with_system("Be brief.", "Rhyme."), True, ""),
        ([*with_system("Be brief."), {"messages": [USER, ASSISTANT]}], True, ""),
        ([{"text": "once upon a time"}], False, ""),
        ([{"prompt": "2 + 2 =", "completion": " 4"}], False, ""),
        ([{"nonsense": 1}, {"prompt": "2 + 2 =", "completion": " 4"}], False, ""),
    ],
)
def test_the_rows_tell_how_a_run_is_asked(
    rows: list[dict[str, Any]], templated: bool, system: str, tmp_path: Path
) -> None:
    found = as_trained(trained_on(tmp_path, *rows))
    assert (found.templated, found.system, found.unsure) == (templated, system, "")


def test_where_the_rows_are_gone_that_is_told_and_a_template_taken_for_granted(tmp_path: Path) -> None:
    recipe = trained_on(tmp_path, {"text": "x"})
    (tmp_path / "rows.jsonl").unlink()
    found = as_trained(recipe)
    assert found.templated
    assert "can't be looked at" in found.unsure


def test_runs_of_one_base_may_be_talked_to_together_and_each_once(tmp_path: Path) -> None:
    base = base_at(tmp_path)
    one, other = run_on(base), run_on(base)
    assert [speaker.lane for speaker in speakers([one.id, other.id])] == [one.id, other.id]
    assert [speaker.lane for speaker in speakers([])] == [other.id]
    with pytest.raises(Refusal, match=f"{one.id}: named twice"):
        speakers([one.id, str(one.path)])


def test_runs_of_different_bases_are_refused_with_both_named(tmp_path: Path) -> None:
    first = run_on(base_at(tmp_path))
    changed = Path(shutil.copytree(BUNDLED / "model", tmp_path / "changed"))
    config = json.loads((changed / "config.json").read_text())
    (changed / "config.json").write_text(json.dumps({**config, "rope_theta": 20_000.0}))
    (weights,) = changed.glob("*.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    second = run_on(changed)
    with pytest.raises(Refusal, match=rf"{second.id} was trained on changed, and {first.id} on base: .* two chats"):
        speakers([first.id, second.id])


def test_a_base_that_was_moved_is_taken_from_its_new_place(tmp_path: Path) -> None:
    base = base_at(tmp_path)
    run = run_on(base)
    moved = base.rename(tmp_path / "elsewhere")
    with pytest.raises(Refusal, match="--base"):
        speakers([run.id])
    assert speakers([run.id], base=str(moved))[0].run.model.folder == moved
