"""What the doctor sees in the rows' tokens: what would stop a run before its first step."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pegbox_methods.recipe import Model, RowSource, Split
from pegbox_runs.models import BUNDLED, find_model
from pegbox_runs.rows.doctor.examine import examine
from pegbox_runs.rows.report import Report, RowFinding

SHORT = [(f"What is question {n} about?", f"It is about {n}.") for n in range(20)]
LONG = "so many words that nothing of the answer is left " * 20
ENDLESS = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"


def report(folder: Path, rows: list[tuple[str, str]], *, template: str | None = None, **asked: Any) -> Report:
    turns = [[{"role": "user", "content": q}, {"role": "assistant", "content": a}] for q, a in rows]
    (folder / "rows.jsonl").write_text("".join(json.dumps({"messages": row}) + "\n" for row in turns))
    name = "bundled"
    if template is not None:
        shutil.copytree(BUNDLED / "model", folder / "model")
        (folder / "model" / "chat_template.jinja").write_text(template)
        name = str(folder / "model")
    source = RowSource(file=str(folder / "rows.jsonl"))
    return examine(source, model=find_model(Model(name=name)), split=Split(), **asked).report


def masks(found: Report) -> dict[str, RowFinding]:
    names = {"untrained-rows", "few-trained-tokens", "end-not-learned"}
    return {finding.name: finding for finding in found.findings if finding.name in names}


def test_rows_that_teach_and_end_are_not_told_of(tmp_path: Path) -> None:
    found = report(tmp_path, SHORT)
    assert masks(found) == {}
    assert found.fit


def test_rows_whose_question_fills_the_length_train_nothing(tmp_path: Path) -> None:
    found = report(tmp_path, [*SHORT, (LONG, "An answer.")], length=64)
    (finding,) = masks(found).values()
    assert (finding.name, finding.level, finding.rows) == ("untrained-rows", "red", 1)
    assert finding.examples[0].place == "rows.jsonl, line 21"
    assert "none of the first 64" in finding.examples[0].text
    assert not found.fit
    assert masks(report(tmp_path, [*SHORT, (LONG, "An answer.")], length=1024)) == {}


def test_rows_of_which_hardly_anything_is_trained_are_red(tmp_path: Path) -> None:
    found = masks(report(tmp_path, [(f"{LONG * 3} {n}", "a") for n in range(3)], length=4096))
    assert found["few-trained-tokens"].level == "red"
    assert "of all tokens" in found["few-trained-tokens"].text.lower()


@pytest.mark.parametrize(("cut", "level"), [(20, "red"), (2, "yellow"), (0, None)])
def test_ends_that_are_not_learned_are_yellow_and_red_once_hardly_any_is(
    tmp_path: Path, cut: int, level: str | None
) -> None:
    rows = [(q, a if n >= cut else "word " * 200) for n, (q, a) in enumerate(SHORT)]
    found = masks(report(tmp_path, rows, length=60))
    assert (found["end-not-learned"].level if found else None) == level
    if level:
        assert found["end-not-learned"].rows == cut
        assert "are cut at 60, before the end" in found["end-not-learned"].examples[0].text


def test_a_template_without_an_end_token_is_red(tmp_path: Path) -> None:
    found = masks(report(tmp_path, SHORT, template=ENDLESS))
    assert (found["end-not-learned"].level, found["end-not-learned"].rows) == ("red", 20)
    assert "puts no end token behind its answer" in found["end-not-learned"].examples[0].text


def test_a_row_that_the_template_refuses_is_red_and_named(tmp_path: Path) -> None:
    fussy = (
        "{% for m in messages %}{% if 'question 7' in m.content %}{{ raise_exception('no') }}{% endif %}"
        "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    found = report(tmp_path, SHORT, template=fussy)
    (finding,) = [finding for finding in found.findings if finding.name == "not-rendered"]
    assert (finding.level, finding.examples[0].place) == ("red", "rows.jsonl, line 8")
    assert not found.fit


def test_tool_calls_that_the_template_leaves_out_are_told(tmp_path: Path) -> None:
    call = {"type": "function", "function": {"name": "weather", "arguments": '{"city": "Graz"}'}}
    turns = [{"role": "user", "content": "How is it?"}, {"role": "assistant", "content": None, "tool_calls": [call]}]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"messages": turns, "id": n}) + "\n" for n in range(3)))
    found = examine(RowSource(file=str(path)), model=find_model(Model(name="bundled")), split=Split()).report
    assert ("answers-left-out", 3) in [(finding.name, finding.rows) for finding in found.findings]


@pytest.mark.parametrize("equal", [True, False])
def test_rows_of_which_none_can_be_trained_or_held_out_are_red(tmp_path: Path, equal: bool) -> None:
    rows = SHORT[:1] * 5 if equal else SHORT
    report(tmp_path, rows)
    source = RowSource(file=str(tmp_path / "rows.jsonl"))
    found = examine(source, held_out=None if equal else source, split=Split(share=0.1 if equal else 0.0)).report
    assert not found.fit
    assert "nothing-to-train" in [finding.name for finding in found.findings]
