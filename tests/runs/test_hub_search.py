"""Searching the Hub: only where it may be asked, in bounded time, and never with the person's token."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest

from pegbox_methods.refusal import Refusal
from pegbox_runs.hub_search import HubModel, offline, search_hub, token_is_here


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)


def answering(monkeypatch: pytest.MonkeyPatch, answer: Any) -> dict[str, Any]:
    """Put an answer in the place of the Hub's. Returns: what it will have been asked."""
    asked: dict[str, Any] = {}

    class Api:
        def __init__(self, **given: Any) -> None:
            asked.update(given)

        def list_models(self, **wanted: Any) -> Any:
            asked.update(wanted)
            return answer()

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    return asked


def test_offline_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, list)
    with pytest.raises(Refusal, match="HF_HUB_OFFLINE is set"):
        search_hub("llama")
    assert asked == {}


@pytest.mark.usefixtures("online")
def test_answers_become_plain_records_and_what_is_of_no_sense_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [
        SimpleNamespace(
            id="org/good",
            safetensors=SimpleNamespace(total=7_000_000_000),
            tags=["license:mit", "text-generation"],
            gated="manual",
            downloads=1200,
        ),
        SimpleNamespace(id="org/[red]odd\x1b", safetensors=SimpleNamespace(total="many"), tags=None, gated=None),
    ]
    asked = answering(monkeypatch, lambda: told)
    assert search_hub("some words") == (
        HubModel(id="org/good", parameters=7_000_000_000, licence="mit", gated=True, downloads=1200),
        HubModel(id="org/[red]odd\x1b", parameters=None, licence=None, gated=None, downloads=None),
    )
    assert asked["token"] is False
    assert asked["search"] == "some words"
    assert asked["limit"] <= 20
    assert asked["filter"] == "text-generation"


@pytest.mark.usefixtures("online")
def test_whatever_the_network_raises_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Any:
        raise ConnectionError("name or service not known\nmore")

    answering(monkeypatch, fail)
    with pytest.raises(Refusal, match=r"the Hub can't be reached \(ConnectionError\)") as caught:
        search_hub("llama")
    assert "\n" not in caught.value.sentence


@pytest.mark.usefixtures("online")
def test_a_hub_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()

    def hang() -> Any:
        done.wait(20)
        return []

    answering(monkeypatch, hang)
    with pytest.raises(Refusal, match=r"gave no answer within 0\.2 s"):
        search_hub("llama", patience_seconds=0.2)
    with pytest.raises(Refusal, match="gave no answer"):
        search_hub("llama", given_up=lambda: True)
    done.set()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"HF_HUB_OFFLINE": "1"}, True),
        ({"TRANSFORMERS_OFFLINE": "true"}, True),
        ({"HF_HUB_OFFLINE": "0"}, False),
        ({}, False),
    ],
)
def test_the_network_is_forbidden_by_the_librarys_own_variables(environment: dict[str, str], expected: bool) -> None:
    assert offline(environment) is expected


def test_a_token_is_seen_and_not_read(tmp_path: Path) -> None:
    assert not token_is_here({"HF_HOME": str(tmp_path)})
    (tmp_path / "token").write_text("")
    assert not token_is_here({"HF_HOME": str(tmp_path)})
    (tmp_path / "token").write_text("hf_secret")
    assert token_is_here({"HF_HOME": str(tmp_path)})
    assert token_is_here({"HF_TOKEN": "hf_secret"})
    assert token_is_here({"HF_TOKEN_PATH": str(tmp_path / "token")})
    assert not token_is_here({"HF_TOKEN_PATH": str(tmp_path / "token" / "below")})
