"""`pegbox certify`: its table, its exit codes, what it keeps, and what it refuses before minutes are spent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pegbox.__main__ import main
from pegbox_methods.certificate import CHECKS, Certificate, Check, CheckName, read_certificates, write_certificates
from pegbox_methods.registry import method_names, origin_of
from pegbox_runs import certifying
from pegbox_runs.certifying import CertifyRequest
from pegbox_runs.jobs import JobFailed
from tests.commands import pegbox

VERSIONS = {"pegbox": "0.1.0", "torch": "2.13.0+cpu"}
REASON = "it adds positions to the input, which no weights of the base model could hold"


class FakeWorker:
    """Answers the job `certify`: all is well, but for what the test says."""

    def __init__(self, **others: dict[CheckName, Check]) -> None:
        self.others = {name.replace("_", "-"): checks for name, checks in others.items()}
        self.asked: list[CertifyRequest] = []
        self.crashes: set[str] = set()

    def __call__(self, job: str, request: CertifyRequest, answer: Any, *, timeout_seconds: float) -> Any:
        assert (job, answer) == ("certify", dict[str, Certificate])
        assert timeout_seconds > 100 * len(request.names)
        self.asked.append(request)
        if self.crashes.intersection(request.names) and len(request.checks) > 1:
            raise JobFailed("the worker of the job certify was ended by SIGSEGV", log_tail="Fatal \x1b[31mPython error")
        return {name: self._certificate(name, request.checks) for name in request.names}

    def _certificate(self, name: str, checks: tuple[CheckName, ...]) -> Certificate:
        told = self.others.get(name, {})
        return Certificate(
            method=name,
            origin=origin_of(name),
            model="bundled",
            libraries=VERSIONS,
            checks=tuple(told.get(check) or Check(name=check, outcome="passed", detail="well") for check in checks),
        )


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> FakeWorker:
    fake = FakeWorker(
        prompt_tuning={
            "merge": Check(name="merge", outcome="cannot", detail=REASON),
            "peft": Check(name="peft", outcome="not-applicable", detail="it isn't saved as a PEFT adapter"),
        },
        dora={
            "merge": Check(name="merge", outcome="failed", detail="merged, its logits differ by \x1b[2J3e-02"),
            "processes": Check(name="processes", outcome="failed", detail="they end with other weights"),
        },
    )
    monkeypatch.setattr(certifying, "ask_worker", fake)
    monkeypatch.setenv("COLUMNS", "80")
    return fake


def test_every_check_of_a_method_is_told_with_a_word_in_80_columns(
    worker: FakeWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["certify", "prompt-tuning"]) == 0
    said = capsys.readouterr()
    assert max(map(len, said.out.splitlines())) <= 80
    for check in CHECKS:
        word = {"merge": "cannot", "peft": "not-applicable"}.get(check, "passed")
        assert re.search(rf"^ {check} +{word} ", said.out, re.MULTILINE), check
    assert REASON in " ".join(said.out.split())
    assert "prompt-tuning is certified: 13 passed, 1 cannot, 1 not-applicable." in said.out
    assert "\x1b" not in said.out
    assert "certifying prompt-tuning (1 of 1)" in said.err


def test_a_failure_exits_with_1_and_says_what_was_claimed(
    worker: FakeWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["certify", "lora", "dora", "lora"]) == 1
    said = capsys.readouterr().out
    assert "lora is certified: 15 passed." in said
    assert said.count("dora is not certified; failed: merge, processes.") == 2  # below its table, and at the end
    assert "1 of 2 methods are certified." in said
    assert "not that merged into the base model, it gives equal logits" in " ".join(said.split())
    assert "\x1b" not in said


def test_in_a_wide_terminal_each_check_says_what_it_means(
    worker: FakeWorker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    assert main(["certify", "lora"]) == 0
    assert CHECKS["resume"][:30] in capsys.readouterr().out


def test_two_processes_are_started_once_for_all_and_each_method_is_tried_alone(worker: FakeWorker) -> None:
    assert main(["certify", "lora", "rslora"]) == 0
    assert [(asked.names, len(asked.checks)) for asked in worker.asked] == [
        (("lora", "rslora"), 1),
        (("lora",), 14),
        (("rslora",), 14),
    ]


def test_all_are_pegbox_own_methods(worker: FakeWorker, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    (home / "methods").mkdir(parents=True, mode=0o700)
    (home / "methods" / "guest.py").write_text("")
    main(["certify", "--all"])
    assert "guest" in method_names()
    assert set(worker.asked[0].names) == {name for name in method_names() if origin_of(name).startswith("pegbox ")}


def test_json_alone_on_standard_output(worker: FakeWorker, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["certify", "dora", "--json"]) == 1
    said = json.loads(capsysbinary.readouterr().out)
    assert said["certified"] is False
    assert [check["name"] for check in said["certificates"]["dora"]["checks"]] == list(CHECKS)
    assert said["certificates"]["dora"]["libraries"] == VERSIONS


def test_certificates_are_kept_beside_others_in_the_home_and_in_the_file_that_is_named(
    worker: FakeWorker, home: Path, tmp_path: Path
) -> None:
    file = tmp_path / "capabilities.json"
    main(["certify", "rslora"])
    main(["certify", "lora", "--write", str(file)])
    assert list(read_certificates(home / "capabilities.json")) == ["lora", "rslora"]
    assert list(read_certificates(file)) == ["lora"]


def test_a_worker_that_crashes_fails_each_check_and_the_next_method_is_tried(
    worker: FakeWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    worker.crashes.add("lora")
    assert main(["certify", "lora", "rslora"]) == 1
    said = capsys.readouterr()
    assert "ended by SIGSEGV" in " ".join(said.out.split())
    assert said.out.count("failed    the same") == 13
    assert "rslora is certified" in said.out
    assert "Fatal \\x1b[31mPython error" in said.err


def test_a_home_that_cannot_be_written_costs_the_record_not_the_answer(
    worker: FakeWorker, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    home.write_text("a file where the folder should be")
    assert main(["certify", "lora"]) == 0
    assert "the certificate of lora can't be kept" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lorra"], 'no method is called "lorra"; did you mean'),
        (["lora", "lorra"], 'no method is called "lorra"; did you mean'),
        ([], "give the names of methods"),
        (["lora", "--all"], "give the names of methods"),
        (["lora", "--write", "nowhere/file.json"], "nowhere: there is no such folder"),
    ],
)
def test_what_cannot_be_tried_is_refused_at_once(
    arguments: list[str], says: str, worker: FakeWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["certify", *arguments]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert worker.asked == []


def test_a_file_that_holds_something_else_is_left_alone(
    worker: FakeWorker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "notes.json"
    file.write_text('{"lora": 3}')
    assert main(["certify", "lora", "--write", str(file)]) == 2
    assert "it doesn't hold certificates" in capsys.readouterr().err
    assert (file.read_text(), worker.asked) == ('{"lora": 3}', [])
    write_certificates({}, tmp_path / "empty.json")
    assert main(["certify", "lora", "--write", str(tmp_path / "empty.json")]) == 0


@pytest.mark.slow
def test_a_method_is_certified_from_the_command_line(home: Path) -> None:
    done = pegbox("certify", "lora", "--json", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = json.loads(done.stdout)["certificates"].values()
    assert {check["outcome"] for check in found["checks"]} == {"passed"}
    assert read_certificates(home / "capabilities.json")["lora"].certified
