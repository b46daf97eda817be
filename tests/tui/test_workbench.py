"""What the workbench keeps: found once, and never what was forgotten while it was being found."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from pegbox_tui.wizard.workbench import Workbench


def test_what_is_forgotten_while_it_is_found_is_not_kept() -> None:
    bench, asked, go_on = Workbench(), threading.Event(), threading.Event()

    def slow() -> str:
        asked.set()
        assert go_on.wait(10)
        return "old"

    found: list[str] = []
    other = threading.Thread(target=lambda: found.append(bench._once("model:x", slow)))
    other.start()
    assert asked.wait(10)
    bench.forget("model")
    go_on.set()
    other.join(10)
    assert found == ["old"]
    assert bench._once("model:x", lambda: "new") == "new"
    assert bench._once("model:x", lambda: "newer") == "new"


def test_forgetting_one_thing_keeps_what_is_found_of_another() -> None:
    bench = Workbench()

    def find() -> str:
        bench.forget("machine")
        return "found"

    assert bench._once("model:x", find) == "found"
    assert bench._once("model:x", lambda: "again") == "found"


def test_newly_examined_rows_take_the_place_of_the_others() -> None:
    bench = Workbench()
    for name in ("rows:a", "rows:b"):
        bench._once(name, lambda: "rows")
    assert [*bench._kept] == ["rows:b"]


@pytest.fixture
def switching() -> Iterator[None]:
    """Let threads take turns after every few instructions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switching")
def test_finding_and_forgetting_at_once_from_several_threads_breaks_neither() -> None:
    bench = Workbench()
    broken: list[RuntimeError] = []

    def work(mine: int) -> None:
        try:
            for number in range(3000):
                if mine:
                    bench._once(f"fit:{mine}:{number}", lambda: None)
                elif number % 10 == 0:
                    bench.forget("fit")
        except RuntimeError as error:
            broken.append(error)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not broken
