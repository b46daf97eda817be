"""The whole path by keys alone, in a real tmux: the wizard, a run, a terminal that dies, and a new login."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from pegbox_methods.events import Step
from pegbox_runs.run_folder import all_runs
from tests.commands import events_of, wait_for
from tests.terminal.tmux import PEGBOX, Terminal

pytestmark = pytest.mark.slow

FRAME_SECONDS = 3.0
"""How soon a screen must be there again after 100 kB were pasted: a second alone, and this on a busy machine."""
SOME_STEPS = 8


def sit_down(terminal: Terminal, home: Path, *words: str) -> None:
    """Log in and start Pegbox. A third of a second a step keeps the run from ending before the terminal does."""
    slowly = '[{"at": "step-end", "do": "hang:0.3"}]'
    variables = {"PEGBOX_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PEGBOX_FAULTS": slowly}
    terminal.open(*PEGBOX, *words, variables=variables)


def answer_until_goal(terminal: Terminal, folder: Path) -> None:
    """Take this machine, the bundled model and the bundled rows."""
    terminal.until("[1 Machine]")
    terminal.until("Go on to the model")
    terminal.press("C-n")
    terminal.until("Comes with Pegbox")
    terminal.write("bundled")
    terminal.until("2.36 M")
    terminal.press("Enter")
    terminal.until("taken: bundled")
    terminal.press("C-n")
    terminal.until("type a path")
    pasted = time.monotonic()
    terminal.paste("/very/long" * 10_000, folder)
    terminal.until("This field takes")
    assert time.monotonic() - pasted < FRAME_SECONDS
    terminal.press("Tab")
    terminal.press("Enter")
    terminal.until("400 rows")
    terminal.until("360 trained")
    terminal.press("C-n")
    terminal.until("[4 Goal]")


def test_a_run_is_begun_by_keys_and_outlives_its_terminal(terminal: Terminal, home: Path, tmp_path: Path) -> None:
    sit_down(terminal, home)
    answer_until_goal(terminal, tmp_path)
    terminal.press("Down")  # tone or format: an answer that isn't the default
    terminal.press("Enter")
    terminal.until("● tone or format")

    terminal.close()  # the lid is shut in the middle of the wizard
    sit_down(terminal, home)
    assert "bundled" in terminal.until("You left a draft")
    terminal.press("g")
    terminal.until("● tone or format")
    terminal.press("C-n")
    terminal.until(lambda screen: "[5 Settings]" in screen and "FITS" in screen)
    terminal.press("C-n")
    terminal.until(lambda screen: "[6 Review]" in screen and "nothing would be refused" in " ".join(screen.split()))
    terminal.press("s")
    terminal.until("bundled · 2")  # the dashboard's headline ends with the run's id
    (folder,) = all_runs()
    wait_for(folder, lambda event: isinstance(event, Step) and event.step >= SOME_STEPS)
    terminal.until(lambda screen: re.search(r"step \d+/", screen) is not None)

    terminal.close()  # and once more while the run goes on
    before = max(event.step for event in events_of(folder) if isinstance(event, Step))
    sit_down(terminal, home, "watch", "last")
    screen = terminal.until(lambda screen: (found := re.search(r"step (\d+)/", screen)) and int(found[1]) > before)
    assert folder.id in screen
    assert "step 0 " in screen, "the curve doesn't begin where the run did"
    steps = [event.step for event in events_of(folder) if isinstance(event, Step)]
    assert steps == list(range(1, len(steps) + 1)), "the run wasn't disturbed, and nothing of it is lost"

    terminal.press("s")
    terminal.until("Yes (y)")
    terminal.press("y")
    terminal.until("stopped")
    terminal.press("q")
    assert f"`pegbox resume {folder.id}` goes on" in terminal.until_ended()
    sit_down(terminal, home, "runs")
    listed = terminal.until_ended()
    assert folder.id in listed
    assert "stopped" in listed
    assert (folder.adapter / "adapter_model.safetensors").is_file()
