"""The list of runs on the command line."""

from __future__ import annotations

import json

import pytest

from pegbox.__main__ import main
from tests.runs.test_listing import run_of
from tests.stories import STORY
from tests.together import joined, member, told_together


def test_of_a_run_of_several_processes_the_list_says_how_many_and_by_what(capsys: pytest.CaptureFixture[str]) -> None:
    run_of("20260101-000000-lora-aaaa", *STORY)
    many = joined(*(member(rank, f"node-{rank // 8}") for rank in range(1024)), engine="fsdp2")
    run_of("20260102-000000-lora-bbbb", *told_together(first=many))
    assert main(["runs"]) == 0
    shown = capsys.readouterr().out
    assert "20260102-000000-lora-bbbb: carried by 1,024 processes, FSDP2." in " ".join(shown.split())
    assert shown.count("carried by") == 1
    assert main(["runs", "--json"]) == 0
    alone, both = json.loads(capsys.readouterr().out)
    assert (alone["processes"], alone["engine"]) == (1, None)
    assert (both["processes"], both["engine"]) == (1024, "fsdp2")
