"""`pegbox report`: where it writes, and what it answers."""

from __future__ import annotations

import json
from pathlib import Path

from pegbox_methods.events import Phase
from tests.commands import pegbox
from tests.runs.told_runs import base_at, told_run
from tests.stories import prepared, started


def test_a_report_is_written_into_the_run_s_folder_and_told_as_json(home: Path, tmp_path: Path) -> None:
    folder = told_run(base_at(tmp_path))
    done = pegbox("report", "--json", home=home)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["run"], answer["status"], answer["over"]) == (folder.id, "finished", True)
    assert Path(answer["html"]) == folder.path / "report.html"
    assert Path(answer["markdown"]).read_text().startswith(f"# Run `{folder.id}`")
    assert "fell from 3.0000 to 2.2500" in answer["headline"]


def test_another_folder_and_a_run_that_goes_on(home: Path, tmp_path: Path) -> None:
    folder = told_run(base_at(tmp_path), [started(), prepared(), Phase(phase="training")])
    done = pegbox("report", str(folder.path), "--output", str(tmp_path / "new" / "place"), home=home)
    assert done.returncode == 0, done.stderr
    assert "isn't over" in done.stdout
    assert (tmp_path / "new" / "place" / "report.html").is_file()
    assert not (folder.path / "report.html").exists()


def test_what_cannot_be_told_is_a_sentence(home: Path, tmp_path: Path) -> None:
    assert "there are no runs" in pegbox("report", home=home).stderr
    folder = told_run(base_at(tmp_path))
    (tmp_path / "file").write_text("mine")
    done = pegbox("report", folder.id, "--output", str(tmp_path / "file"), home=home)
    assert (done.returncode, (tmp_path / "file").read_text()) == (2, "mine")
    assert "can't be written" in done.stderr
