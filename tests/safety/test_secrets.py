"""Tokens and the home's path stay out of everything that a run leaves."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegbox_methods.events import Failed, Notice, Sample, Step
from pegbox_methods.recipe import Model, Output, Recipe, Rows
from pegbox_runs import secrets
from pegbox_runs.event_log import BadLine, EventReader, EventWriter
from pegbox_runs.run_folder import create
from pegbox_runs.secrets import CleanStream, Redactor, clean_file, redactor
from pegbox_runs.supervision.telling import conclude
from tests.stories import environment, step

HUB = "hf_" + "aB3" * 11 + "x"
OTHER = 'sk-"quoted"-and-long-enough'
VALUES = {
    "HF_TOKEN": HUB,
    "OPENAI_API_KEY": OTHER,
    "WANDB_API_KEY": "0123456789abcdef0123",
    "MY_SERVICE_SECRET": "correct horse battery staple",
}


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Plant secrets and a home in the environment. Gives the home."""
    home = tmp_path / "people" / "ann"
    home.mkdir(parents=True)
    for name, value in VALUES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(home))
    redactor.cache_clear()
    return str(home)


@pytest.fixture(autouse=True)
def forget() -> object:
    yield
    redactor.cache_clear()


def leaks(content: bytes, home: str) -> list[str]:
    planted = [*VALUES.values(), json.dumps(OTHER)[1:-1], home]
    return [text for text in planted if text.encode() in content]


def test_no_event_tells_a_token_or_the_home_however_it_got_there(planted: str, tmp_path: Path) -> None:
    told = f"{planted}/models/x can't be read with {HUB}, {OTHER!s} or {VALUES['WANDB_API_KEY']}; see {planted}"
    writer = EventWriter(tmp_path / "events.jsonl")
    for event in (
        Notice(text=told),
        Failed(what=told, where=told, remedy=told),
        Sample(step=0, index=0, question=told, answer=told, expected=told),
        step(1),
    ):
        writer.emit(event)
    content = (tmp_path / "events.jsonl").read_bytes()
    assert leaks(content, planted) == []
    events = [event for block in EventReader(tmp_path / "events.jsonl").new() for event in block]
    assert not any(isinstance(event, BadLine) for event in events)
    assert events[0].text == "~/models/x can't be read with [hidden], [hidden] or [hidden]; see ~"  # type: ignore[union-attr]
    assert isinstance(events[-1], Step)


def test_neither_recipe_nor_environment_nor_log_nor_summary_holds_them(planted: str) -> None:
    recipe = Recipe(
        model=Model(name=f"{planted}/model"), rows=Rows(file=f"{planted}/rows.jsonl"), output=Output(note=f"with {HUB}")
    )
    described = msgspec.structs.replace(environment(), libraries={"torch": f"from {planted}/torch {OTHER}"})
    folder = create(recipe, described)
    writer = EventWriter(folder.events)
    writer.emit(Failed(what=f"{HUB} in {planted}/x", where="loading", remedy=OTHER))
    writer.close()
    folder.log.write_text(f"Traceback in {planted}/lib.py\nAuthorization: Bearer {HUB}\n{OTHER}\nwell\n")
    conclude(folder)
    for path in folder.path.rglob("*"):
        if path.is_file():
            assert leaks(path.read_bytes(), planted) == [], path.name
    assert folder.log.read_text().startswith("Traceback in ~/lib.py\nAuthorization: Bearer [hidden]\n")
    assert folder.log.stat().st_mode & 0o777 == 0o600
    assert 'name = "~/model"' in folder.recipe.read_text()


def test_a_token_of_the_hub_is_known_by_its_form_too(tmp_path: Path) -> None:
    clean = Redactor({}, []).clean
    assert clean(f"token {HUB}!".encode()) == b"token [hidden]!"
    assert clean(b"hf_hub_download(repo_id)") == b"hf_hub_download(repo_id)"


def test_ordinary_words_and_longer_names_stay(tmp_path: Path) -> None:
    clean = Redactor({"HF_TOKEN": "dummy", "TOKENIZERS_PARALLELISM": "a-long-enough-value"}, ["/home/ann", "/"]).clean
    for text in (b"dummy", b"a-long-enough-value", b"/home/anna/x", b"/home/ann.old", b"/"):
        assert clean(text) == text
    assert clean(b"/home/ann /home/ann/x '/home/ann'") == b"~ ~/x '~'"


@given(st.text(), st.text(max_size=5))
def test_text_without_secrets_is_never_touched(text: str, more: str) -> None:
    value = {"a": [text, {"b": more}], "c": 1.5, "d": None}
    assert Redactor(VALUES, ["/home/ann-of-nobody"]).clean_values(value) == value


def test_what_python_prints_in_a_worker_is_cleaned_on_its_way(planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    secrets.clean_streams()
    print(f"in {planted}/x", HUB, sep="\n")
    sys.stdout.writelines([OTHER, "\n"])
    sys.stdout.flush()
    assert isinstance(sys.stdout, CleanStream)
    assert out.getvalue() == "in ~/x\n[hidden]\n[hidden]\n"


def test_a_clean_log_is_left_as_it_is_and_a_missing_one_is_no_error(planted: str, tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    assert not clean_file(log)
    log.write_bytes(b"all well\n" * 10)
    inode = log.stat().st_ino
    assert not clean_file(log)
    assert log.stat().st_ino == inode
    log.write_bytes(b"x" * 600_000 + os.fsencode(planted) + b"\n" + HUB.encode())
    assert clean_file(log)
    assert log.read_bytes() == b"x" * 600_000 + b"~\n[hidden]"
