"""`pegbox doctor` as a person runs it, and how it shows machines that nobody has here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import psutil
import pytest

from pegbox.commands import doctor
from pegbox_hardware.gpu import Holder
from pegbox_hardware.machine import Machine
from pegbox_runs.jobs import JobFailed
from pegbox_runs.torch_facts import TorchFacts
from tests.commands import pegbox, wait_until
from tests.runs.made_up_machines import GIB, cpu_torch, gpu, machine


def show(
    monkeypatch: pytest.MonkeyPatch,
    here: Machine,
    torch: TorchFacts | JobFailed,
    *,
    json: bool = False,
    width: int = 80,
) -> int:
    """Run the command on a made-up machine."""

    def answer() -> TorchFacts:
        if isinstance(torch, JobFailed):
            raise torch
        return torch

    monkeypatch.setattr(doctor, "this_machine", lambda: here)
    monkeypatch.setattr(doctor, "torch_facts", answer)
    monkeypatch.setenv("COLUMNS", str(width))
    return doctor.run(Namespace(json=json))


def test_json_alone_on_standard_output_with_machine_torch_and_findings(home: Path) -> None:
    done = pegbox("doctor", "--json", home=home)
    record = json.loads(done.stdout)
    assert done.returncode == (1 if any(finding["level"] == "red" for finding in record["findings"]) else 0)
    assert record["machine"]["disks"][0]["path"] == str(home / "runs")
    assert record["torch"]["version"]
    assert {finding["level"] for finding in record["findings"]} <= {"green", "yellow", "red"}


def test_an_unwritable_home_is_red_and_exits_with_1(home: Path) -> None:
    home.write_text("a file where the folder should be")
    done = pegbox("doctor", home=home)
    assert done.returncode == 1
    assert "bad        the place for runs can't be written" in done.stdout
    assert " try        export PEGBOX_HOME=" in done.stdout
    assert "1 in the way of training" in done.stdout


def test_a_path_that_is_no_utf8_is_shown_in_both_forms(home: Path) -> None:
    odd = home.parent / os.fsdecode(b"odd\xff\x1b[31m")
    said = json.loads(pegbox("doctor", "--json", home=odd).stdout)
    assert said["machine"]["disks"][0]["path"].endswith("odd\\udcff\x1b[31m/runs")
    assert "\x1b" not in pegbox("doctor", home=odd).stdout


def test_a_gpu_that_torch_cannot_use_is_red_and_its_command_is_never_folded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = gpu(memory_free=12 * GIB, holders=(Holder(pid=42, name="evil\x1b]0;name", memory=11 * GIB),))
    assert show(monkeypatch, machine(held), cpu_torch()) == 1
    out = capsys.readouterr().out
    command = "python -m pip install --force-reinstall torch==2.13.0 --index-url https://download.pytorch.org/whl/cu130"
    assert f" try        {command}\n" in out
    assert "driver 580.65.06 for CUDA 13.0" in " ".join(out.split())
    assert "\x1b" not in out
    folded = [line for line in out.splitlines() if command not in line]
    assert max(map(len, folded)) <= 80


@pytest.mark.parametrize("width", [20, 80, 200])
def test_any_width_shows_every_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    show(monkeypatch, machine(gpu()), cpu_torch(), width=width)
    out = capsys.readouterr().out
    assert sum(line.strip().startswith(("bad", "look", "ok")) for line in out.splitlines()) == 6


def test_a_torch_that_crashes_is_a_finding_with_what_it_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = JobFailed("the worker of the job torch-facts was ended by SIGSEGV", log_tail="Fatal Python error")
    assert show(monkeypatch, machine(), failed, json=True) == 1
    said = capsys.readouterr()
    record = json.loads(said.out)
    assert record["torch"] == {"error": "the worker of the job torch-facts was ended by SIGSEGV"}
    assert record["findings"][0]["about"] == "torch"
    assert "Fatal Python error" in said.err


def test_a_torch_that_cannot_be_imported_is_one_finding_and_no_traceback(home: Path, tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('libcudart.so.13: no such file')")
    done = pegbox("doctor", home=home, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "ImportError: libcudart.so.13: no such file." in " ".join(done.stdout.split())
    assert done.stderr == ""


def test_nothing_but_the_flag_is_taken(home: Path) -> None:
    assert pegbox("doctor", "everything", home=home).returncode == 2


def test_ctrl_c_ends_it_with_its_worker_and_without_a_traceback(home: Path) -> None:
    asker = subprocess.Popen(
        [sys.executable, "-P", "-m", "pegbox", "doctor"],
        env={**os.environ, "PEGBOX_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_until(lambda: bool(psutil.Process(asker.pid).children()))
    workers = psutil.Process(asker.pid).children()
    asker.send_signal(signal.SIGINT)
    _, errors = asker.communicate(timeout=60)
    assert asker.returncode == 130
    assert errors == b""
    # One that had just been started is not killed, but sees that its asker is gone.
    wait_until(lambda: not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers))
