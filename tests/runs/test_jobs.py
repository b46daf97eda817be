"""The door to the worker's small jobs, with real processes behind it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import psutil
import pytest

from pegbox_methods.events import Answered
from pegbox_runs import jobs
from pegbox_runs.jobs import JobFailed, OpenJob, ask_worker
from tests.commands import wait_until

ROOT = Path(__file__).parents[2]
PROGRAM = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pegbox_worker.jobs import JOBS
JOBS.update({{name: f"tests.runs.misbehaving_jobs:{{name}}" for name in ("double", "crash", "hang", "refuse",
    "stumble", "leave", "shown", "echo", "opened", "much")}}, gone="tests.runs.no_such_module:run")
from pegbox_worker.jobs.__main__ import main
sys.exit(main())
"""
LONG = 60.0


class Doubled(msgspec.Struct, frozen=True):
    number: int
    blocked: bool


@pytest.fixture(autouse=True)
def worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Start workers that know the misbehaving jobs too. Returns: the folder that theirs are made in."""
    monkeypatch.setattr(jobs, "job_command", lambda: [sys.executable, "-P", "-c", PROGRAM])
    made = tmp_path / "made"
    made.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    return made


def test_a_job_answers_and_leaves_nothing_behind(worker: Path) -> None:
    assert ask_worker("double", {"number": 21}, Doubled, timeout_seconds=LONG) == Doubled(42, blocked=True)
    assert list(worker.iterdir()) == []


def test_a_job_is_shown_the_one_gpu_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1,GPU-2")
    assert ask_worker("shown", None, str, timeout_seconds=LONG) == "GPU-1"
    assert ask_worker("shown", None, str, timeout_seconds=LONG, gpu="GPU-2") == "GPU-2"


@pytest.mark.parametrize(
    ("job", "sentence"),
    [
        ("crash", "the worker of the job crash was ended by SIGABRT"),
        ("leave", "the worker of the job leave ended with exit code 3 and no answer"),
        ("refuse", "this model is made of cheese."),
        ("stumble", "ValueError: a bad value"),
        ("gone", "ModuleNotFoundError: No module named 'tests.runs.no_such_module'"),
        ("dubble", 'the worker knows no job "dubble"; did you mean "double"?'),
    ],
)
def test_a_job_that_fails_is_one_sentence(job: str, sentence: str, worker: Path) -> None:
    with pytest.raises(JobFailed) as failed:
        ask_worker(job, {}, Doubled, timeout_seconds=LONG)
    assert failed.value.sentence == sentence
    assert failed.value.told == (job not in {"crash", "leave"})
    assert list(worker.iterdir()) == []


def test_an_answer_for_which_there_is_no_room_is_told_as_that() -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(JobFailed, match=r"answer couldn't be written to .*ulimit -f") as failed:
            ask_worker("much", {}, str, timeout_seconds=LONG)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert failed.value.told


def test_what_a_crashing_worker_printed_goes_with_the_failure() -> None:
    with pytest.raises(JobFailed) as failed:
        ask_worker("crash", {}, Doubled, timeout_seconds=LONG)
    assert "the last words" in failed.value.log_tail
    assert "Fatal Python error: Aborted" in failed.value.log_tail


def test_a_job_that_hangs_is_ended_at_its_time_limit_with_what_it_started(tmp_path: Path, worker: Path) -> None:
    note = tmp_path / "pids"
    with pytest.raises(JobFailed, match=r"the job hang gave no answer within 5 s and was ended"):
        ask_worker("hang", str(note), Doubled, timeout_seconds=5)
    pids = [int(pid) for pid in note.read_text().split()]
    assert len(pids) == 2
    wait_until(lambda: not any(_lives(pid) for pid in pids))
    assert list(worker.iterdir()) == []


def test_an_answer_of_another_form_is_told(worker: Path) -> None:
    with pytest.raises(JobFailed, match="answered something else than was asked for"):
        ask_worker("double", {"number": 1}, int, timeout_seconds=LONG)


def test_a_worker_ends_when_its_asker_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    asker = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"from pegbox_runs import jobs; jobs.job_command = lambda: [{sys.executable!r}, '-P', '-c', {PROGRAM!r}]; "
            f"jobs.ask_worker('hang', {str(note)!r}, int, timeout_seconds=600)",
        ]
    )
    wait_until(lambda: note.is_file() and len(note.read_text().split()) == 2)
    worker, child = (int(pid) for pid in note.read_text().split())
    asker.send_signal(signal.SIGKILL)
    asker.wait()
    wait_until(lambda: not _lives(worker))
    os.kill(child, signal.SIGKILL)


def test_no_room_for_the_jobs_folder_is_a_failed_job(worker: Path) -> None:
    worker.rmdir()
    with pytest.raises(JobFailed, match="the job double couldn't be started"):
        ask_worker("double", {"number": 1}, Doubled, timeout_seconds=LONG)


def test_an_open_job_hears_and_tells_until_it_is_closed(worker: Path) -> None:
    job = OpenJob("echo", None)
    try:
        said: list[str] = []
        for word in ("one", "two", "x" * 300_000):  # more than a pipe holds
            assert job.say(word)
            wait_until(lambda: bool(said.extend(getattr(event, "doing", "") for event in job.heard()) or said))
            assert said.pop() == word
        assert not job.wait(0)
    finally:
        job.close()
    assert list(worker.iterdir()) == []
    assert job.wait(0)


def test_an_open_job_that_ends_says_why_and_nobody_is_told_more(worker: Path) -> None:
    job = OpenJob("echo", None)
    job.say("end")
    wait_until(lambda: job.wait(0.05))
    assert job.failure().sentence == "the end was asked for."
    assert not job.say("more")
    job.close()
    assert list(worker.iterdir()) == []


def test_an_open_job_whose_worker_is_killed_says_that(worker: Path) -> None:
    job = OpenJob("echo", None)
    job.say("pid")
    said: list[str] = []
    wait_until(lambda: bool(said.extend(getattr(event, "doing", "") for event in job.heard()) or said))
    os.kill(int(said[0]), signal.SIGKILL)
    wait_until(lambda: job.wait(0.05))
    assert job.failure().sentence == "the worker of the job echo was ended by SIGKILL"
    job.close()


def test_an_open_job_that_is_killed_behind_something_it_answered_says_that_and_what_it_printed(worker: Path) -> None:
    job = OpenJob("opened", None)
    heard: list[object] = []
    wait_until(lambda: bool(heard.extend(job.heard()) or heard))
    assert isinstance(heard[0], Answered)
    job.say("crash")
    wait_until(lambda: job.wait(0.05))
    failed = job.failure()
    job.close()
    assert failed.sentence == "the worker of the job opened was ended by SIGABRT"
    assert "the last words" in failed.last_words


def test_a_failure_is_explained_by_the_log_only_where_the_worker_did_not_say_why() -> None:
    crashed = JobFailed("it was ended by SIGSEGV", log_tail="Fatal error\nat 0x0")
    assert (crashed.last_words, crashed.explained) == (
        "Fatal error\nat 0x0",
        "it was ended by SIGSEGV\nFatal error\nat 0x0",
    )
    told = JobFailed("the disk is full", log_tail="Traceback", told=True)
    assert (told.last_words, told.explained) == ("", "the disk is full")


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
