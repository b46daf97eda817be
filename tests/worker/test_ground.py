"""A run that goes on must stand on what it was started on, down to how its rows become tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from pegbox_methods.refusal import Refusal
from pegbox_runs.changes import current_recipe
from pegbox_worker.ground import refuse_other_model
from tests.runs.test_tuned import base_at, run_on


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("config.json", "its config.json, or its weights"),
        ("tokenizer.json", "its tokenizer"),
        ("chat_template.jinja", "its chat template"),
    ],
)
def test_a_base_of_which_a_file_was_changed_is_no_ground_to_go_on(file: str, part: str, tmp_path: Path) -> None:
    base = base_at(tmp_path)
    folder = run_on(base)
    refuse_other_model(current_recipe(folder), folder)
    text = (base / file).read_text()
    (base / file).write_text(text.replace("{", '{"more": 1,', 1) if file == "config.json" else f"{text}\n")
    with pytest.raises(Refusal, match=rf"the base model was changed after the run was started \({part}\)"):
        refuse_other_model(current_recipe(folder), folder)


def test_the_recipe_s_own_template_that_was_changed_is_named_itself(tmp_path: Path) -> None:
    template = tmp_path / "ours.jinja"
    template.write_text("{{ messages }}")
    folder = run_on(base_at(tmp_path), template=str(template))
    refuse_other_model(current_recipe(folder), folder)
    template.unlink()
    with pytest.raises(Refusal, match=rf"^{template}: the chat template was changed after the run was started"):
        refuse_other_model(current_recipe(folder), folder)
