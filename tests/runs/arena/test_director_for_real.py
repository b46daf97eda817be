"""A comparison with real workers comes to the same, bit for bit, whatever was killed on its way."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from pegbox_methods.events import Resumed, Started
from pegbox_methods.recipe_file import recipe_from_table
from pegbox_runs.arena.asking.contestants import contestants_named
from pegbox_runs.arena.asking.creating import Wanted, check_comparison, create_comparison
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.directing.start import start_director
from pegbox_runs.arena.results import read_results
from pegbox_runs.commands import send
from pegbox_runs.supervision.owner import read_owner
from pegbox_runs.viewing import state_of
from tests.commands import events_of, wait_until
from tests.faults.runs import SMALL
from tests.runs.arena.directed import await_end, outcomes_of
from tests.runs.arena.test_director_killed import whole
from tests.runs.supervised import end_now

pytestmark = pytest.mark.slow
STEPS = 16
TABLES: dict[str, dict[str, Any]] = {
    **SMALL,
    "rows": {**SMALL["rows"], "limit": 80},
    "training": {**SMALL["training"], "max_steps": STEPS},
    "evaluation": {"every": 4, "samples": 0},
}

Found = dict[str, tuple[tuple[float, ...], tuple[tuple[int, float], ...], str]]


def made() -> ComparisonFolder:
    recipe = recipe_from_table(TABLES, file="a test", folder=Path("/"))
    wanted = Wanted(contestants=contestants_named(recipe, "lora,dora"), seeds=(7,), search=False)
    return create_comparison(check_comparison(wanted))


def found(folder: ComparisonFolder) -> Found:
    """Give each entry's judged losses, its curve, and the hash of its weights."""
    outcomes = outcomes_of(folder)
    return {
        id_: (
            one.judged.after.held_out.nats if one.judged else (),
            one.curve,
            hashlib.sha256((folder.entry(id_).adapter / "adapter_model.safetensors").read_bytes()).hexdigest(),
        )
        for id_, one in outcomes.items()
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What nobody disturbed comes to."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PEGBOX_HOME", str(tmp_path_factory.mktemp("home")))
        patched.setenv("HF_HUB_OFFLINE", "1")
        folder = made()
        start_director(folder)
        assert await_end(folder).status == "finished"
        results = read_results(folder)
        assert results is not None
        assert (results.complete, len(results.contestants)) == (True, 2)
        assert folder.path.joinpath("report.html").exists()
        workers = {state.worker_pid for id_ in outcomes_of(folder) if (state := state_of(folder.entry(id_)).started)}
        assert len(workers) == 1  # one process for both
        return found(folder)


def at(folder: ComparisonFolder, id_: str, step: int) -> int:
    """Wait until an entry has taken so many steps. Returns: its worker's id."""
    place = folder.entry(id_)
    wait_until(lambda: place.events.exists() and state_of(place).steps_done >= step)
    told = state_of(place).started
    assert told is not None
    return told.worker_pid


def director(folder: ComparisonFolder) -> int:
    owner = read_owner(folder)
    assert owner is not None
    return owner.pid


def test_a_killed_director_is_replaced_by_its_worker_and_a_killed_worker_by_its_director(undisturbed: Found) -> None:
    folder = made()
    start_director(folder)
    worker = at(folder, "lora.seed-7", 2)
    end_now(director(folder))
    # By the worker's guard or, if its run was over within a second, behind that.
    wait_until(lambda: len([one for one in events_of(folder) if isinstance(one, Started)]) == 2)
    assert at(folder, "lora.seed-7", STEPS) == worker
    end_now(at(folder, "dora.seed-7", 6))
    assert await_end(folder).status == "finished"
    assert whole(folder)
    assert found(folder) == undisturbed
    assert len([one for one in events_of(folder) if isinstance(one, Started)]) == 2
    assert [one.step for one in events_of(folder.entry("dora.seed-7")) if isinstance(one, Resumed)]


def test_both_killed_at_once_and_a_torn_log_cost_the_interrupted_entry_alone(undisturbed: Found) -> None:
    folder = made()
    start_director(folder)
    worker = at(folder, "dora.seed-7", 6)
    end_now(director(folder))
    end_now(worker)
    log = folder.entry("dora.seed-7").events
    log.write_bytes(log.read_bytes()[:-100])
    assert state_of(folder).status == "lost"
    start_director(folder)
    assert await_end(folder).status == "finished"
    assert whole(folder)
    assert found(folder) == undisturbed
    assert len([one for one in events_of(folder.entry("lora.seed-7")) if isinstance(one, Started)]) == 1


def test_what_was_stopped_goes_on_from_its_checkpoint(undisturbed: Found) -> None:
    folder = made()
    start_director(folder)
    at(folder, "lora.seed-7", 5)
    send(folder.commands, "stop")
    assert await_end(folder).status == "stopped"
    assert state_of(folder.entry("lora.seed-7")).status == "stopped"
    start_director(folder)
    assert await_end(folder).status == "finished"
    assert whole(folder)
    assert {id_: (nats, weights) for id_, (nats, _, weights) in found(folder).items()} == {
        id_: (nats, weights) for id_, (nats, _, weights) in undisturbed.items()
    }
