"""One forge for all that is broken here, and what an unbroken run comes to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from pegbox_runs.run_state import RunState
from tests.faults import runs
from tests.faults.forge import Forge


@dataclass(frozen=True)
class Unbroken:
    """What every broken run is compared with."""

    adapter: str
    """Hash of its weights."""
    curve: list[tuple[int, float]]
    evaluations: list[tuple[int, float]]
    state: RunState


@pytest.fixture(scope="session")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    with Forge(tmp_path_factory.mktemp("forge")) as forge:
        yield forge


@pytest.fixture(scope="session")
def unbroken(forge: Forge, tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    home = tmp_path_factory.mktemp("unbroken")
    with mock.patch.dict(os.environ, {"PEGBOX_HOME": str(home), "HF_HUB_OFFLINE": "1"}):
        folder = runs.make_run()
        state = runs.finished(folder)
        assert state.status == "finished", Path(folder.log).read_text()
        return Unbroken(runs.adapter_hash(folder), list(state.loss), evaluations(state), state)


def evaluations(state: RunState) -> list[tuple[int, float]]:
    return [(one.step, one.loss) for one in state.evaluations]
