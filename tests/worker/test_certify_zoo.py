"""Every method that Pegbox brings is what its card says, and the packaged certificates say so."""

from __future__ import annotations

import fcntl
import json
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pegbox_methods.certificate import CHECKS, Certificate, read_certificates
from pegbox_methods.registry import find_card, method_names, origin_of
from pegbox_runs.method_facts import PACKAGED
from pegbox_worker.certify import case as case_module
from pegbox_worker.certify import kit
from pegbox_worker.certify import processes as together
from pegbox_worker.certify.bench import Bench, open_bench
from pegbox_worker.certify.case import Case
from pegbox_worker.certify.verdict import Verdict
from tests.methods_at_work import one_thread

EVERY_CHECK_OF = "lora"
"""Certified wholly, in one go."""
OURS = tuple(name for name in method_names() if origin_of(name).startswith("pegbox "))
OTHERS = tuple(name for name in OURS if name != EVERY_CHECK_OF)
DROPPED = """
from dataclasses import replace

import torch
import torch.distributed
from transformers import TrainerCallback

from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.registry import find_card
from pegbox_methods.torch_half import load_torch_half

CARD = replace(find_card("lora"), name={name!r}, torch_half=f"{{__name__}}:half")


class AtTheEnd(TrainerCallback):
    def __init__(self, model):
        self.model = model

    def on_train_end(self, *_, **__):
        if torch.distributed.is_initialized() and torch.distributed.get_rank() == 1:
            {work}


class Half:
    def attach(self, model, recipe):
        attached = load_torch_half(find_card("lora")).attach(model, recipe)
        return replace(attached, callbacks=(AtTheEnd(attached.model),))

    def save(self, attached, folder): ...
    def load(self, model, folder): ...
    def merge(self, model): ...


half = Half()


@hookimpl
def pegbox_card():
    return CARD
"""


@pytest.fixture(scope="session")
def bench() -> Bench:
    with one_thread():
        return open_bench()


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="session")
def in_two_processes(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Verdict]:
    """Start two processes once for all methods; where several processes test, in the one that comes first."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    told = folder / "in-two-processes.json"
    with one_thread(), (folder / "in-two-processes.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not told.is_file():
            cases = [_case(name, bench, tmp_path_factory.mktemp("case")) for name in OTHERS]
            found = together.processes(cases, tmp_path_factory.mktemp("pair"))
            told.write_text(json.dumps({name: [one.outcome, one.detail] for name, one in found.items()}))
    return {name: Verdict(*one) for name, one in json.loads(told.read_text()).items()}


def _case(name: str, bench: Bench, folder: Path) -> Case:
    card = find_card(name)
    return Case(card, kit.half_of(card), bench, folder)


def _certified(name: str, bench: Bench, folder: Path, *checks: Any) -> Certificate:
    return kit.certify({name: find_card(name)}, {name: origin_of(name)}, bench, folder, checks or tuple(CHECKS))[name]


def test_lora_is_certified_wholly(bench: Bench, tmp_path: Path) -> None:
    found = _certified(EVERY_CHECK_OF, bench, tmp_path)
    assert [check.name for check in found.checks] == list(CHECKS)
    assert {check.outcome for check in found.checks} == {"passed"}, found
    assert found.certified
    assert {check.outcome for check in read_certificates(PACKAGED)[EVERY_CHECK_OF].checks} == {"passed"}
    assert found.origin == origin_of(EVERY_CHECK_OF)
    assert set(found.libraries) == set(kit.LIBRARIES)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_a_method_of_ours_is_certified_as_its_packaged_certificate_says(
    name: str, bench: Bench, in_two_processes: dict[str, Verdict], tmp_path: Path
) -> None:
    found = _certified(name, bench, tmp_path, *kit.ALONE)
    outcomes = {check.name: check.outcome for check in found.checks} | {"processes": in_two_processes[name].outcome}
    assert "failed" not in outcomes.values(), (found, in_two_processes[name])
    packaged = read_certificates(PACKAGED)[name]
    assert outcomes == {check.name: check.outcome for check in packaged.checks}


def test_the_packaged_certificates_are_of_our_methods_and_of_what_their_cards_say_today() -> None:
    packaged = read_certificates(PACKAGED)
    assert tuple(packaged) == OURS
    for name, certificate in packaged.items():
        assert certificate.certified, name
        assert [check.name for check in certificate.checks] == list(CHECKS), name
        cannot = {check.name for check in certificate.checks if check.outcome == "cannot"}
        assert cannot == set(find_card(name).cannot), f"{name}: run `make capabilities`"


@pytest.mark.slow
def test_two_processes_that_go_wrong_or_hang_are_told_and_the_next_method_has_its_turn(
    home: Path, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = {
        "differs": "next(w for w in self.model.parameters() if w.requires_grad).data.add_(1)",
        "raises": "raise ValueError('no room on the second card')",
        "crashes": "import os; os.abort()",
        "hangs": "import time; time.sleep(600)",
    }
    monkeypatch.setattr(together, "PATIENCE_SECONDS", 15.0)
    (home / "methods").mkdir(parents=True, mode=0o700)
    for name, work in works.items():
        (home / "methods" / f"{name}.py").write_text(textwrap.dedent(DROPPED.format(name=name, work=work)))
    cases = [_case(name, bench, tmp_path / name) for name in ("differs", "raises", "crashes", "lora", "hangs")]
    found = together.processes(cases, tmp_path)
    assert {name: verdict.outcome for name, verdict in found.items()} == {
        **dict.fromkeys(works, "failed"),
        "lora": "passed",
    }
    assert "the two processes end with other weights" in found["differs"].detail
    assert found["raises"].detail == "ValueError: no room on the second card"
    assert "two processes ended without a result: Signal 6 (SIGABRT)" in found["crashes"].detail
    assert found["hangs"].detail == "two processes gave no news for 15 s and were ended"


def test_two_processes_that_cannot_start_fail_every_method_at_once(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case_module, "STEPS", 3)
    started = []

    def command(folder: Any) -> list[str]:
        started.append(folder)
        return ["/bin/sh", "-c", "echo no address; echo; exit 3"]

    monkeypatch.setattr(together, "_command", command)
    cases = [_case(name, bench, tmp_path / name) for name in ("lora", "rslora")]
    found = together.processes(cases, tmp_path)
    detail = "two processes ended without a result: no address"
    assert found == dict.fromkeys(("lora", "rslora"), Verdict("failed", detail))
    assert len(started) == 1
