"""A lane hears what it is told, and its worker's end."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from pegbox_runs.arena.directing.ears import Ears

LONG = 20.0


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.mark.parametrize("with_descriptor", [True, False])
def test_a_word_ends_the_wait_whether_it_comes_before_or_in_it(pipe: tuple[int, int], *, with_descriptor: bool) -> None:
    ears, descriptor = Ears(), pipe[0] if with_descriptor else None
    began = time.monotonic()
    ears.wake()
    ears.wait(LONG, descriptor)
    for _ in range(3):
        threading.Timer(0.05, ears.wake).start()
        ears.wait(LONG, descriptor)
    assert time.monotonic() - began < LONG


def test_a_word_is_heard_once(pipe: tuple[int, int]) -> None:
    ears = Ears()
    for descriptor in (None, pipe[0]):
        ears.wake()
        ears.wait(LONG, descriptor)
        began = time.monotonic()
        ears.wait(0.1, descriptor)
        assert time.monotonic() - began >= 0.09


def test_a_workers_end_ends_the_wait(pipe: tuple[int, int]) -> None:
    began = time.monotonic()
    os.write(pipe[1], b"x")
    Ears().wait(LONG, pipe[0])
    assert time.monotonic() - began < LONG


def test_those_who_wait_for_no_descriptor_take_none() -> None:
    before = len([*Path("/proc/self/fd").iterdir()])
    every = [Ears() for _ in range(100)]
    for ears in every:
        ears.wake()
        ears.wait(LONG, None)
    assert len([*Path("/proc/self/fd").iterdir()]) == before
