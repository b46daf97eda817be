"""`pegbox chat` in lines, with a real worker and a run of the bundled model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.commands import PATIENCE_SECONDS, pegbox, write_recipe_text
from tests.in_terminal import InTerminal, pegbox_command

QUESTION = "Which module has the function dumps?"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a home with two runs of the same adapter, `last` the newer one."""
    home = tmp_path_factory.mktemp("home")
    recipe = write_recipe_text(
        home, training={"max_steps": 2, "learning_rate": 0.02}, evaluation={"every": 2, "samples": 0}
    )
    done = pegbox("train", str(recipe), "--plain", home=home)
    assert done.returncode == 0, done.stderr
    (run,) = (home / "runs").iterdir()
    shutil.copytree(run, home / "runs" / "29990101-000000-lora-ffff")
    return home


def typed(home: Path, lines: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Give lines on standard input, which is no terminal."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "pegbox", "chat", *arguments],
        env={**os.environ, "PEGBOX_HOME": str(home), "OMP_NUM_THREADS": "1"},
        input=lines,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_once_as_json_holds_each_lane_s_answer_and_the_exact_prompt(trained: Path) -> None:
    runs = sorted(path.name for path in (trained / "runs").iterdir())
    done = pegbox("chat", *runs, "--both", "--once", QUESTION, "--tokens", "12", "--json", home=trained)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    base, one, other = found["answers"]
    assert [base["lane"], one["lane"], other["lane"]] == ["base", *runs]
    assert (base["method"], one["method"]) == (None, "lora")
    assert one["text"] == other["text"] != base["text"]
    assert one["prompt"]["text"] == f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
    assert one["prompt"]["tokens"] == len(one["prompt"]["ids"]) > 10
    assert {answer["end"] for answer in found["answers"]} <= {"complete", "length"}
    assert found["sampling"]["temperature"] == 0


def test_lines_are_questions_answers_alone_go_to_standard_output(trained: Path) -> None:
    lines = f"{QUESTION}\n\n/prompt\n/both\nAnd loads?\n/nonsense\n/reset\n/quit\nnever asked\n"
    done = typed(trained, lines, "--tokens", "6")
    assert done.returncode == 0, done.stderr
    first, *then = done.stdout.splitlines()
    assert first
    assert "base (bundled):" in then
    assert "lora (29990101-000000-lora-ffff):" in then
    assert "tokens/s" not in done.stdout
    for told in (f"user\n{QUESTION}<|im_end|>", "of 1,024 tokens", "/nonsense: is no command", "forgotten", "greedy"):
        assert told in done.stderr
    assert "never asked" not in done.stderr
    assert "1 question before went to others alone" in done.stderr


def test_many_questions_become_as_many_lines_of_json(trained: Path) -> None:
    done = typed(trained, f"{QUESTION}\nno \udce9 UTF-8\n", "--json", "--tokens", "4")
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["question"] for one in found] == [QUESTION, "no \ufffd UTF-8"]


def test_an_answer_is_interrupted_in_a_terminal_and_the_talk_goes_on(trained: Path) -> None:
    arguments = ("chat", "--plain", "--tokens", "900", "--temperature", "5", "--prompt")
    with InTerminal(pegbox_command(*arguments), {"PEGBOX_HOME": str(trained), "OMP_NUM_THREADS": "1"}) as terminal:
        terminal.wait_for("/quit", 120)
        terminal.type(b"Tell me all.\n")
        terminal.wait_for("tokens: ", 60)  # it is answered from here on
        terminal.type(b"\x03")
        terminal.wait_for("interrupted", 60)
        terminal.type(b"/prompt\n")
        terminal.wait_for("Tell me all.<|im_end|>", 30)
        terminal.wait_until(lambda: terminal.written.endswith(b"> "))  # before it reads keys, an end of input is lost
        terminal.type(b"\x04")
        terminal.wait_for_end()
        assert terminal.exit_status == 0


def test_a_damaged_adapter_is_one_sentence_and_nothing_is_touched(trained: Path, tmp_path: Path) -> None:
    home = Path(shutil.copytree(trained, tmp_path / "copy"))
    adapter = home / "runs" / "29990101-000000-lora-ffff" / "adapter" / "adapter_model.safetensors"
    adapter.write_bytes(adapter.read_bytes()[:1000])
    before = {path: path.read_bytes() for path in adapter.parent.iterdir() if path.is_file()}
    done = pegbox("chat", "last", "--once", "x", "--json", home=home)
    assert done.returncode == 2
    assert "adapter" in json.loads(done.stdout)["error"]
    assert "Traceback" not in done.stderr
    assert before == {path: path.read_bytes() for path in adapter.parent.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--once", " "), "The question is empty"),
        (("--temperature", "hot"), "hot: is no number from 0 to 5"),
        (("--tokens", "0"), "0: is no number from 1"),
        (("nobody", "--once", "x"), 'no run is called "nobody"'),
    ],
)
def test_what_can_not_be_asked_is_refused(arguments: tuple[str, ...], said: str, trained: Path) -> None:
    done = pegbox("chat", *arguments, home=trained)
    assert done.returncode == 2
    assert said in done.stderr
