"""Runs whose workers are on a cluster's nodes: every end is told once, and no second worker ever joins a living one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pegbox_methods.events import CommandAnswer, Finished, Notice, Paused, Restarting, Started, WorkerEnded
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.entry_log import EntryLog
from pegbox_runs.commands import send
from pegbox_runs.fleet import post_files, remote_supply, remote_worker
from pegbox_runs.fleet.cluster import Wanted
from pegbox_runs.fleet.post_files import PostRecord, PostWanted, read_record, read_wanted, write_record, write_wanted
from pegbox_runs.fleet.remote_supply import Fleet, RemoteSupply
from pegbox_runs.fleet.remote_worker import RemoteWorker
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState
from pegbox_runs.supervision import mailbox
from pegbox_runs.viewing import state_of
from tests.commands import events_of, wait_until
from tests.runs.carried import carry
from tests.runs.fleet.pretended_cluster import PretendedCluster
from tests.runs.supervised import newest, told, write_plan
from tests.stories import made

DONE = ("finish", "completed")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look more often, and wait less for what has fallen silent."""
    monkeypatch.setattr(remote_worker, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(remote_worker, "SETTLING_SECONDS", 2.5)
    monkeypatch.setattr(mailbox, "ABORT_SECONDS", 0.5)
    monkeypatch.setattr(remote_worker, "AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(remote_worker, "PAUSE_SECONDS", 0.1)


@pytest.fixture
def clusters() -> Iterator[list[PretendedCluster]]:
    """Those of a test, which end with it."""
    made_: list[PretendedCluster] = []
    yield made_
    for one in made_:
        one.close()


class Carried:
    """One run, carried in a thread."""

    def __init__(self, cluster: PretendedCluster, folder: RunFolder) -> None:
        self.folder = folder
        self.state: RunState | None = None
        self._thread = threading.Thread(target=self._carry, args=(cluster,), daemon=True)
        self._thread.start()

    def _carry(self, cluster: PretendedCluster) -> None:
        self.state = carry(RemoteSupply(cluster, "here"), self.folder)

    def end(self) -> list[str]:
        """Wait for it. Returns: what its log tells, in order."""
        self._thread.join(60)
        assert self.state is not None
        return told(self.folder)


def cluster_with(clusters: list[PretendedCluster], plan: Path, slots: int = 1) -> PretendedCluster:
    clusters.append(PretendedCluster(plan, slots=slots))
    return clusters[-1]


def worker_pid_of(folder: RunFolder) -> int:
    """Wait until a post has started its worker."""
    wait_until(lambda: (record := record_of(folder)) is not None and record.worker_pid is not None)
    return record_of(folder).worker_pid  # type: ignore[union-attr,return-value]


def record_of(folder: RunFolder) -> PostRecord | None:
    wanted = read_wanted(folder)
    return None if wanted is None else read_record(folder, wanted.ticket)


def test_an_entry_on_a_node_tells_its_end_as_one_here_would(tmp_path: Path, clusters: list[PretendedCluster]) -> None:
    folder = made()
    assert Carried(cluster_with(clusters, write_plan(tmp_path, [("steps", 2), DONE])), folder).end() == [
        "Started",
        "Notice",
        "Finished",
    ]
    record = record_of(folder)
    assert record is not None
    assert (record.ended, record.exit_code, record.signal) == (True, 0, None)


def test_what_waits_for_a_place_takes_no_time_of_a_budget(tmp_path: Path, clusters: list[PretendedCluster]) -> None:
    cluster = cluster_with(clusters, write_plan(tmp_path, [("steps", 1), ("wait", 0.5), DONE]), slots=0)
    folder = made()
    carried = Carried(cluster, folder)
    wait_until(lambda: bool(cluster.jobs))
    time.sleep(3.0)
    cluster.room = 1
    cluster.fill()
    carried.end()
    log = EntryLog(folder)
    log.read()
    whole = newest(folder, Finished).time - newest(folder, Started).time
    assert 0.5 <= log.wall_seconds <= whole - 2.5
    assert newest(folder, Notice).text == f"it has its place on the cluster, on {socket.gethostname()}"


def test_a_worker_that_was_killed_on_its_node_is_followed_by_another(
    tmp_path: Path, clusters: list[PretendedCluster]
) -> None:
    plan = write_plan(tmp_path, [("steps", 3), ("kill", 9)], [("resumed", 2), ("steps", 2), DONE])
    folder = made()
    names = Carried(cluster_with(clusters, plan), folder).end()
    assert names == ["Started", "Notice", "WorkerEnded", "Restarting", "Started", "Notice", "Resumed", "Finished"]
    assert newest(folder, WorkerEnded).signal == "SIGKILL"
    assert len(list(folder.path.glob("post-*.json"))) == 2, "what is wanted, and what the last post said"


def test_a_node_that_is_lost_with_its_worker_is_named_and_the_run_goes_on_elsewhere(
    tmp_path: Path, clusters: list[PretendedCluster]
) -> None:
    plan = write_plan(tmp_path, [("steps", 3), ("wait", 600)], [("resumed", 2), DONE])
    cluster = cluster_with(clusters, plan)
    folder = made()
    carried = Carried(cluster, folder)
    wait_until(lambda: state_of(folder).steps_done == 3)
    (post,) = cluster.processes
    (worker,) = psutil.Process(post.pid).children()
    cluster.lost[read_wanted(folder).job or ""] = "node-7 was lost"  # type: ignore[union-attr]
    post.kill()
    assert carried.end()[-1] == "Finished"
    assert newest(folder, Restarting).why.startswith("the worker was lost: node-7 was lost (on ")
    assert not worker.is_running(), "it died with its post"


def test_a_job_that_the_cluster_gave_up_while_its_post_lives_has_no_second_worker_beside_it(
    tmp_path: Path, clusters: list[PretendedCluster]
) -> None:
    cluster = cluster_with(clusters, write_plan(tmp_path, [("steps", 1), ("wait", 4), DONE]), slots=2)
    folder = made()
    carried = Carried(cluster, folder)
    wait_until(lambda: state_of(folder).steps_done == 1)
    cluster.lost[read_wanted(folder).job or ""] = "nobody hears of node-7"  # type: ignore[union-attr]
    assert carried.end() == ["Started", "Notice", "Finished"]


def test_a_post_whose_ticket_was_superseded_kills_its_worker_and_says_so(
    tmp_path: Path, clusters: list[PretendedCluster]
) -> None:
    cluster = cluster_with(clusters, write_plan(tmp_path, [("wait", 600)]))
    folder = made()
    supply = RemoteSupply(cluster, "here")
    worker = supply.next(folder)
    worker.hand_over(folder)
    wait_until(lambda: record_of(folder) is not None)
    ticket = worker.mark.removeprefix("post:")
    write_wanted(folder, PostWanted(ticket="another", home="/", on="here"))
    wait_until(lambda: worker.gone)
    record = read_record(folder, ticket)
    assert record is not None
    assert (record.ended, record.evidence) == (True, "another post took its place")


def test_a_post_that_comes_too_late_starts_nothing(tmp_path: Path, clusters: list[PretendedCluster]) -> None:
    cluster = cluster_with(clusters, write_plan(tmp_path, [DONE]), slots=0)
    folder = made()
    worker = RemoteSupply(cluster, "here").next(folder)
    worker.hand_over(folder)
    write_wanted(folder, PostWanted(ticket="another", home="/", on="here"))
    cluster.room = 1
    cluster.fill()
    wait_until(lambda: worker.gone)
    assert told(folder) == []
    assert "(before it began)" in worker.killed_for_memory()[1]


def test_a_job_that_was_lost_before_it_began_is_submitted_again(
    tmp_path: Path, clusters: list[PretendedCluster]
) -> None:
    cluster = cluster_with(clusters, write_plan(tmp_path, [DONE]), slots=0)
    folder = made()
    carried = Carried(cluster, folder)
    wait_until(lambda: bool(cluster.jobs))
    cluster.room = 1
    cluster.jobs.clear()
    assert carried.end() == ["Started", "Notice", "Finished"]


def test_what_the_cluster_does_not_take_waits_and_costs_no_restart(
    tmp_path: Path, clusters: list[PretendedCluster]
) -> None:
    cluster = cluster_with(clusters, write_plan(tmp_path, [DONE]))
    cluster.refusals = 8
    folder = made()
    assert Carried(cluster, folder).end() == ["Started", "Notice", "Notice", "Finished"]
    (waits, _) = [event for event in events_of(folder) if isinstance(event, Notice)]
    assert waits.text == "the pretended cluster didn't take it: too many jobs. It is asked again for 30 minutes."


@pytest.mark.parametrize("command", ["stop", "abort"])
def test_what_the_cluster_does_not_take_ends_when_it_is_asked_to(
    tmp_path: Path, clusters: list[PretendedCluster], command: str
) -> None:
    cluster = cluster_with(clusters, write_plan(tmp_path, [DONE]))
    cluster.refusals = 10_000
    folder = made()
    carried = Carried(cluster, folder)
    wait_until(lambda: cluster.refusals < 10_000)
    send(folder.commands, command)
    carried.end()
    assert newest(folder, Finished).reason == {"stop": "stopped", "abort": "aborted"}[command]


def test_what_the_cluster_never_takes_is_given_up_by_name(
    tmp_path: Path, clusters: list[PretendedCluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_worker, "PATIENCE_SECONDS", 0.3)
    cluster = cluster_with(clusters, write_plan(tmp_path, [DONE]))
    cluster.refusals = 10_000
    folder = made()
    worker = RemoteSupply(cluster, "here").next(folder)
    worker.hand_over(folder)
    wait_until(lambda: worker.gone)
    assert worker.killed_for_memory()[1] == "the pretended cluster didn't take it: too many jobs"


def test_a_cluster_that_could_not_be_reached_is_told_to_each_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    def deaf() -> None:
        raise Refusal("nothing answers there")

    cluster = PretendedCluster(Path("/"))
    monkeypatch.setattr(cluster, "reach", deaf)
    monkeypatch.setattr(remote_supply, "cluster_apart", lambda *_: cluster)
    fleet = Fleet("ray", Wanted())
    for _ in range(2):
        with pytest.raises(Refusal, match="nothing answers there"):
            fleet.supply()


def test_a_post_that_is_started_twice_carries_its_run_once(tmp_path: Path, clusters: list[PretendedCluster]) -> None:
    cluster = cluster_with(clusters, write_plan(tmp_path, [("wait", 600)]), slots=2)
    folder = made()
    worker = RemoteSupply(cluster, "here").next(folder)
    worker.hand_over(folder)
    wait_until(lambda: record_of(folder) is not None)
    (first,) = cluster.processes
    (job,) = cluster.jobs
    again = RemoteWorker(cluster, folder, read_wanted(folder))  # type: ignore[arg-type]
    again.hand_over(folder)
    wait_until(lambda: len(cluster.processes) == 1)
    assert first.poll() is None or job in cluster.cancelled
    assert record_of(folder).pid == first.pid  # type: ignore[union-attr]


def test_a_run_whose_director_died_is_taken_up_with_its_worker(
    tmp_path: Path, clusters: list[PretendedCluster]
) -> None:
    cluster = cluster_with(clusters, write_plan(tmp_path, [("wait", 600)]))
    folder = made()
    RemoteSupply(cluster, "here").next(folder).hand_over(folder)
    wait_until(lambda: record_of(folder) is not None)
    found = RemoteSupply(cluster, "here").left_behind(folder)
    assert found is not None
    assert found.mark == f"post:{read_wanted(folder).ticket}"  # type: ignore[union-attr]
    cluster.close()
    wait_until(lambda: found.gone)


def test_what_a_dead_director_left_ends_before_another_begins(tmp_path: Path, clusters: list[PretendedCluster]) -> None:
    cluster = cluster_with(clusters, write_plan(tmp_path, [("wait", 600)]), slots=2)
    folder = made()
    RemoteSupply(cluster, "here").next(folder).hand_over(folder)
    pid = worker_pid_of(folder)
    RemoteSupply(cluster, "here").next(folder)
    assert not psutil.pid_exists(pid)
    assert not cluster.processes


@pytest.mark.parametrize("command", ["stop", "abort"])
def test_what_only_waits_for_a_place_ends_at_once_when_it_is_asked_to(
    tmp_path: Path, clusters: list[PretendedCluster], command: str
) -> None:
    cluster = cluster_with(clusters, write_plan(tmp_path, [DONE]), slots=0)
    folder = made()
    carried = Carried(cluster, folder)
    wait_until(lambda: bool(cluster.jobs))
    send(folder.commands, command)
    carried.end()
    assert newest(folder, Finished).reason == {"stop": "stopped", "abort": "aborted"}[command]
    assert newest(folder, CommandAnswer).taken
    assert not cluster.jobs, "it is out of the cluster's queue"


def test_what_waits_for_a_place_can_be_paused_and_begins_when_it_is_resumed(
    tmp_path: Path, clusters: list[PretendedCluster]
) -> None:
    cluster = cluster_with(clusters, write_plan(tmp_path, [DONE]), slots=0)
    folder = made()
    carried = Carried(cluster, folder)
    wait_until(lambda: bool(cluster.jobs))
    send(folder.commands, "pause")
    wait_until(lambda: state_of(folder).status == "paused")
    assert newest(folder, Paused).memory == "released"
    assert not cluster.jobs
    cluster.room = 1
    send(folder.commands, "resume")
    assert carried.end()[-1] == "Finished"
    assert newest(folder, Started).attempt == 2


def test_a_deaf_worker_on_a_node_is_killed_by_an_abort(tmp_path: Path, clusters: list[PretendedCluster]) -> None:
    folder = made()
    plan = write_plan(tmp_path, [("deaf", None), ("steps", 1), ("wait", 600)])
    carried = Carried(cluster_with(clusters, plan), folder)
    wait_until(lambda: state_of(folder).steps_done == 1)
    send(folder.commands, "abort")
    carried.end()
    assert newest(folder, Finished).reason == "aborted"


def test_a_job_about_to_be_ended_saves_first_and_goes_on_in_another(
    tmp_path: Path, clusters: list[PretendedCluster]
) -> None:
    plan = write_plan(tmp_path, [("steps", 2), ("wait", 600)], [("resumed", 2), DONE])
    cluster = cluster_with(clusters, plan)
    folder = made()
    carried = Carried(cluster, folder)
    wait_until(lambda: state_of(folder).steps_done == 2)
    cluster.processes[0].terminate()
    wait_until(lambda: any(isinstance(one, CommandAnswer) for one in events_of(folder)))
    saved = folder.checkpoints / "checkpoint-2"
    saved.mkdir(parents=True)
    (saved / "complete.json").touch()
    assert carried.end()[-1] == "Finished"
    assert "the cluster was about to end its job" in newest(folder, Restarting).why


def test_a_silent_post_is_given_up_and_one_that_cannot_be_read_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_worker, "SILENT_SECONDS", 0.2)
    monkeypatch.setattr(remote_worker, "GIVEN_UP_SECONDS", 0.4)
    folder = made()
    cluster = PretendedCluster(Path("/"))
    cluster.jobs["job"] = Deaf([sys.executable, "-c", "import time; time.sleep(3)"])
    worker = RemoteWorker(cluster, folder, PostWanted(ticket="t", home="/", on="here", job="job"))
    write_record(folder, PostRecord(ticket="t", host="node-7", pid=1, beat=5))
    assert not worker.gone
    file = post_files.record_file(folder, "t")
    content = file.read_bytes()
    file.unlink()
    until = time.monotonic() + 0.6
    while time.monotonic() < until:
        assert not worker.gone, "its file can't be read just now"
        time.sleep(0.05)
    file.write_bytes(content)
    wait_until(lambda: worker.gone)
    assert cluster.cancelled
    assert worker.killed_for_memory()[1].startswith("node-7 wasn't heard of for ")
    cluster.close()


class Deaf(subprocess.Popen[bytes]):
    """A process that nothing ends, as one on a lost node seems to be."""

    def kill(self) -> None:
        """Stay."""


def test_a_worker_dies_with_a_post_that_is_killed(tmp_path: Path, clusters: list[PretendedCluster]) -> None:
    cluster = cluster_with(clusters, write_plan(tmp_path, [("wait", 600)]))
    folder = made()
    RemoteSupply(cluster, "here").next(folder).hand_over(folder)
    pid = worker_pid_of(folder)
    os.kill(cluster.processes[0].pid, signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(pid))
