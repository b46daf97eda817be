"""Entries as Slurm's jobs, with commands on the PATH that only pretend to be Slurm's."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pegbox_methods.refusal import Refusal
from pegbox_runs.fleet import slurm_cluster
from pegbox_runs.fleet.cluster import JobState, Post, Wanted
from pegbox_runs.fleet.post_command import post_command
from pegbox_runs.fleet.slurm_cluster import SCRIPT, SlurmCluster
from pegbox_runs.fleet.slurm_options import read_options, seconds_of
from pegbox_runs.fleet.slurm_states import job_state

COMMANDS = ("sbatch", "squeue", "scancel", "sinfo", "srun", "sacct")
CPUS = "node1|main*|idle|8|16000|(null)|up|1-00:00:00\nnode2|main*|mixed|8|16000|(null)|up|1-00:00:00\n"
GPUS = "n1|gpu|idle|32|64000|gpu:a100:4(S:0-1)|up|infinite\nn2|gpu|allocated|32|64000|gpu:a100:4|up|infinite\n"
DOWN = "n3|gpu|down*|32|64000|gpu:a100:4|up|infinite\n"


class Pretended:
    """Slurm's commands: each says what its file holds, keeps how it was called, and fails where told to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in COMMANDS:
            file = folder / name
            file.write_text(
                f"#!/bin/bash\nprintf '%s\\n' \"$*\" >> {folder}/{name}.calls\nenv > {folder}/{name}.env\n"
                f"[ -p /dev/stdin ] && cat > {folder}/{name}.in\n"
                f"if [ -e {folder}/{name}.fails ]; then cat {folder}/{name}.fails >&2; exit 1; fi\n"
                f"cat {folder}/{name}.says 2> /dev/null; exit 0\n"
            )
            file.chmod(file.stat().st_mode | stat.S_IXUSR)
        self.says("sinfo", CPUS)
        self.says("sbatch", "41\n")

    def says(self, name: str, text: str) -> None:
        (self._folder / f"{name}.says").write_text(text)

    def fails(self, name: str, text: str) -> None:
        (self._folder / f"{name}.fails").write_text(text)

    def calls(self, name: str) -> list[str]:
        file = self._folder / f"{name}.calls"
        return file.read_text().splitlines() if file.exists() else []

    def environment(self, name: str) -> str:
        return (self._folder / f"{name}.env").read_text()


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretended:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm_cluster, "ROUND_SECONDS", 0.0)
    monkeypatch.setattr(slurm_cluster, "SETTLING_SECONDS", 0.0)
    return Pretended(folder)


def post(tmp_path: Path) -> Post:
    folder = tmp_path / "a home's" / "entries" / "lora.seed-1"
    folder.mkdir(parents=True)
    return Post(folder=folder, ticket="t1", name="pegbox-lora.seed-1")


def test_a_job_is_a_readable_script_in_the_entrys_folder_that_bash_understands(
    tmp_path: Path, slurm: Pretended
) -> None:
    slurm.says("sinfo", GPUS)
    options = "partition=gpu,time=04:00:00,account=lab,gpu=gpu:a100,cpus=6"
    cluster, one = SlurmCluster(options, Wanted(processes=2, memory_bytes=5 * 2**30)), post(tmp_path)
    assert cluster.submit(one) == "41"
    script = one.folder / SCRIPT
    assert slurm.calls("sbatch") == [f"--parsable --chdir={one.folder} {script}"]
    lines = script.read_text().splitlines()
    asks = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")]
    for ask in ("--partition=gpu", "--time=04:00:00", "--account=lab", "--gres=gpu:a100:2", "--cpus-per-task=12"):
        assert ask in asks
    assert {"--mem=5121M", "--no-requeue", "--signal=B:TERM@120", "--output=slurm-%j.log"} <= set(asks)
    assert shlex.split(lines[-1]) == ["exec", *post_command(one)]
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0


def test_jobs_get_none_of_the_secrets_and_none_of_somebody_elses_options(
    tmp_path: Path, slurm: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_" + "a" * 34)
    monkeypatch.setenv("SBATCH_PARTITION", "another")
    monkeypatch.setenv("SLURM_CONF", "/etc/elsewhere.conf")
    SlurmCluster("", Wanted()).submit(post(tmp_path))
    got = slurm.environment("sbatch")
    assert "hf_a" not in got
    assert "SBATCH_PARTITION" not in got
    assert "SLURM_CONF=/etc/elsewhere.conf" in got


def test_one_call_of_squeue_answers_for_all_jobs(slurm: Pretended, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_cluster, "ROUND_SECONDS", 60.0)
    slurm.says("squeue", "1|PENDING|Resources|\n2|RUNNING|None|node1\n3|NODE_FAIL|NodeDown|node2\n")
    cluster = SlurmCluster("", Wanted())
    assert cluster.state("1") == JobState("waiting", "a node with room")
    assert cluster.state("2") == JobState("running")
    assert cluster.state("3").why == "node2 was lost"
    assert len(slurm.calls("squeue")) == 1


def test_while_slurm_does_not_answer_nothing_is_taken_for_lost(slurm: Pretended) -> None:
    cluster = SlurmCluster("", Wanted())
    slurm.fails("squeue", "slurm_load_jobs error: Unable to contact slurm controller\n")
    assert cluster.state("2").phase == "waiting"
    (Path(slurm_path("squeue.fails"))).unlink()
    slurm.says("squeue", "2|RUNNING|None|node1\n")
    assert cluster.state("2").phase == "running"
    slurm.fails("squeue", "slurm_load_jobs error: Unable to contact slurm controller\n")
    assert cluster.state("2").phase == "running"


def slurm_path(name: str) -> str:
    return f"{os.environ['PATH'].partition(':')[0]}/{name}"


def test_a_job_that_squeue_has_forgotten_is_asked_of_the_accounts_once(slurm: Pretended) -> None:
    slurm.says("squeue", "")
    slurm.says("sacct", "TIMEOUT|node1\n")
    cluster = SlurmCluster("", Wanted())
    for _ in range(3):
        assert cluster.state("7") == JobState("gone", "Slurm's job 7 came to its time limit", out_of_memory=False)
    assert len(slurm.calls("sacct")) == 1


def test_where_slurm_keeps_no_accounts_a_forgotten_job_is_gone_all_the_same(slurm: Pretended) -> None:
    slurm.says("squeue", "")
    slurm.fails("sacct", "Slurm accounting storage is disabled\n")
    cluster = SlurmCluster("", Wanted())
    assert cluster.state("7") == JobState("gone", "Slurm knows nothing of its job 7 any more")
    cluster.state("8")
    assert len(slurm.calls("sacct")) == 1


def test_a_job_that_slurm_refuses_says_so_in_slurms_words(tmp_path: Path, slurm: Pretended) -> None:
    slurm.fails("sbatch", "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy\n")
    with pytest.raises(OSError, match=r"^Batch job submission failed: Job violates"):
        SlurmCluster("", Wanted()).submit(post(tmp_path))


def test_what_an_entry_cannot_get_is_refused_before_the_start(tmp_path: Path, slurm: Pretended) -> None:
    slurm.fails("sbatch", "allocation failure: Requested node configuration is not available\n")
    with pytest.raises(Refusal, match=r"wouldn't take an entry's job: .*not available.* 2 cores"):
        SlurmCluster("", Wanted()).check([tmp_path])
    assert "--test-only" in slurm.calls("sbatch")[0]
    with pytest.raises(Refusal, match=r"no partition gpu with nodes. It has main"):
        SlurmCluster("partition=gpu", Wanted()).check([tmp_path])
    with pytest.raises(Refusal, match="above what the partition allows, 1-00:00:00"):
        SlurmCluster("time=2-00:00:00", Wanted()).check([tmp_path])


def test_slots_are_what_the_nodes_that_are_up_have_room_for(slurm: Pretended) -> None:
    assert SlurmCluster("", Wanted()).slots() == 8
    assert SlurmCluster("", Wanted(at_once=3)).slots() == 3
    assert SlurmCluster("", Wanted(memory_bytes=6000 * 2**20)).slots() == 4
    slurm.says("sinfo", GPUS + DOWN)
    assert SlurmCluster("partition=gpu", Wanted()).slots() == 8
    assert SlurmCluster("partition=gpu", Wanted(processes=2)).slots() == 4
    with pytest.raises(Refusal, match="has room for an entry"):
        SlurmCluster("partition=gpu", Wanted(processes=8)).slots()
    slurm.says("sinfo", DOWN)
    with pytest.raises(Refusal, match=r"takes jobs: n3 is down\*"):
        SlurmCluster("partition=gpu", Wanted()).slots()


def test_a_controller_that_does_not_answer_is_named(slurm: Pretended) -> None:
    slurm.fails("sinfo", "slurm_load_partitions: Unable to contact slurm controller (connect failure)\n")
    with pytest.raises(Refusal, match=r"Slurm can't be asked: .*Unable to contact"):
        SlurmCluster("", Wanted()).slots()


def test_without_slurms_commands_the_person_is_told_where_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    with pytest.raises(Refusal, match="sbatch, squeue, scancel, sinfo, srun can't be found"):
        SlurmCluster("", Wanted()).slots()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("partion=gpu", 'did you mean "?partition'),
        ("time=soon", "expected time=04:00:00"),
        ("time=00:03:00", "120 s before its end"),
        ("partition=a,partition=b", "given twice"),
        ("partition=a b;rm -rf", "expected partition="),
        ("mem=lots", "expected mem=32G"),
        ("gpu=tpu:1", "expected gpu=gpu:a100"),
        ("cpus=0", "expected cpus=4"),
        ("partition=\x1b[31m", "partition="),
    ],
)
def test_options_that_cannot_be_are_refused_in_a_sentence(text: str, words: str) -> None:
    with pytest.raises(Refusal, match=words) as refused:
        read_options(text)
    assert "\x1b" not in refused.value.sentence


def test_options_are_read_and_times_are_slurms() -> None:
    read = read_options("partition=gpu,time=1-12:00:00,cpus=8,mem=64G")
    assert (read.partition, read.cpus, read.mem, read.qos) == ("gpu", 8, "64G", None)
    assert [seconds_of(text) for text in ("90", "90:30", "4:00:00", "1-12", "1-12:30", "2-00:00:10")] == [
        5400,
        5430,
        14400,
        129600,
        131400,
        172810,
    ]


@pytest.mark.parametrize(
    ("state", "phase", "memory"),
    [
        ("CONFIGURING", "waiting", None),
        ("COMPLETING", "running", None),
        ("A_STATE_OF_TOMORROW", "running", None),
        ("COMPLETED", "gone", None),
        ("OUT_OF_MEMORY", "gone", True),
        ("CANCELLED by 0", "gone", False),
        ("PREEMPTED", "gone", False),
    ],
)
def test_slurms_states_say_whether_a_job_may_still_write(state: str, phase: str, memory: bool | None) -> None:
    found = job_state("7", state, "", "node1")
    assert (found.phase, found.out_of_memory) == (phase, memory)
