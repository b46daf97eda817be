"""Whether a node could carry entries: each that couldn't is named, with what to do about it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from platform import python_version

import msgspec
import pytest

from pegbox_methods.refusal import Refusal
from pegbox_runs.fleet.looking import Asking, NodeLook, begin_look, look, read_look, refuse_looks, versions_here


def told(asking: Asking, *looks: NodeLook) -> str:
    with pytest.raises(Refusal) as refused:
        refuse_looks(asking, looks)
    return refused.value.sentence


def changed(asking: Asking, **changes: object) -> NodeLook:
    return msgspec.structs.replace(look(asking.arguments), host="node-7", **changes)


def test_a_node_that_sees_the_same_disk_is_well_and_nothing_of_the_look_stays(tmp_path: Path) -> None:
    rows = tmp_path / "rows with spaces.jsonl"
    rows.write_text("{}\n")
    root = tmp_path / "comparisons"
    with begin_look([root, rows, tmp_path]) as asking:
        done = subprocess.run(asking.command, capture_output=True, check=True)
        found = read_look(done.stdout)
        assert (found.token, found.unseen, found.unwritable) == (asking.token, (), "")
        refuse_looks(asking, [found, found])
    assert list(root.iterdir()) == []


def test_a_place_that_is_not_there_or_is_another_file_there_is_named(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("{}\n")
    gone = tmp_path / "model"
    with begin_look([tmp_path, rows, gone]) as asking:
        rows.write_text("{}\n{}\n")
        said = told(asking, changed(asking))
    assert said.startswith(f"node-7 doesn't see {rows}, {gone}, or sees another file there.")


def test_a_disk_that_is_another_one_on_the_node_is_told_by_the_token(tmp_path: Path) -> None:
    with begin_look([tmp_path]) as asking:
        assert f"node-7 doesn't see {tmp_path}" in told(asking, changed(asking, token=""))
        assert f"node-7 doesn't see {tmp_path}" in told(asking, changed(asking, token="of somebody else"))


def test_a_node_that_reads_but_cannot_write_is_refused_whatever_it_believes(tmp_path: Path) -> None:
    with begin_look([tmp_path]) as asking:
        said = told(asking, changed(asking, unwritable="Read-only file system"))
        assert said == f"node-7 can't write to {tmp_path}: Read-only file system. Every node must read and write there."
        for path in asking.folder.glob("*.back"):
            path.unlink()
        one = NodeLook(host="node-8", python=python_version(), versions=versions_here(), token=asking.token)
        assert "what it writes isn't seen here" in told(asking, one)


def test_other_versions_are_named_beside_those_here_and_bitsandbytes_is_not_among_them(tmp_path: Path) -> None:
    with begin_look([tmp_path]) as asking:
        other = {**versions_here(), "torch": "1.0", "pegbox": None, "bitsandbytes": "0.1"}
        said = told(asking, changed(asking, versions=other))
        assert f"torch 1.0 (here {versions_here()['torch']})" in said
        assert "pegbox None" in said
        assert "bitsandbytes" not in said
        assert "node-7 has Python 2.7.18" in told(asking, changed(asking, python="2.7.18"))


def test_a_hundred_bad_nodes_are_told_in_a_few_lines(tmp_path: Path) -> None:
    with begin_look([tmp_path]) as asking:
        one = changed(asking, token="")
        said = told(asking, *(msgspec.structs.replace(one, host=f"node-{n}") for n in range(100)))
    assert len(said.splitlines()) == 5
    assert said.endswith("96 more nodes can't either.")


def test_a_place_for_comparisons_that_cannot_be_written_here_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refusal, match="PEGBOX_HOME"):
        begin_look([tmp_path / "file" / "comparisons"])


def test_what_a_node_prints_is_one_line_of_json(tmp_path: Path) -> None:
    with begin_look([tmp_path]) as asking:
        done = subprocess.run(asking.command, capture_output=True, check=True, text=True)
    assert len(done.stdout.splitlines()) == 1
    assert set(json.loads(done.stdout)) == {"host", "python", "versions", "token", "unseen", "unwritable"}
