"""Finding a model: what is there is looked at, what isn't is refused with what would do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import httpx2
import huggingface_hub
import pytest
from huggingface_hub import errors

from pegbox_methods.recipe import Model
from pegbox_methods.refusal import Refusal
from pegbox_runs.models import BUNDLED, find_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BUNDLED / "model", tmp_path / "model"))


def refused(name: str | Path) -> str:
    with pytest.raises(Refusal) as caught:
        find_model(Model(name=str(name)))
    return caught.value.sentence


def test_the_catalogue_holds_the_bundled_model() -> None:
    found = find_model(Model(name="bundled"))
    assert found.complete
    assert found.has_template
    assert found.shape is not None
    assert found.shape.vocabulary == found.config["vocab_size"]
    assert found.positions == 1024
    assert len(found.sha256()) == 64


def test_a_folder_is_a_model_and_its_fingerprint_changes_with_it(folder: Path) -> None:
    found = find_model(Model(name=str(folder)))
    assert found.reference == str(folder)
    before = found.sha256()
    assert before == find_model(Model(name="bundled")).sha256()
    (folder / "model-2.safetensors").write_bytes(b"x")
    assert find_model(Model(name=str(folder))).sha256() != before


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    said = refused(tmp_path / "nowhere")
    assert "there is no such model folder" in said
    assert "bundled" in said


def test_a_name_that_can_be_nothing() -> None:
    assert "there is no such model folder" in refused("a b/c\x1b[0m")
    assert "\x1b" not in refused("a b/c\x1b[0m")


def test_a_folder_without_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    assert "it has no config.json" in refused(folder)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_broken_config(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    assert "config.json" in refused(folder)


def test_a_folder_without_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    assert "the model has no tokenizer (tokenizer.json)" in refused(folder)


def test_a_folder_with_pickled_weights_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    said = refused(folder)
    assert "lacks weights in safetensors (model.safetensors)" in said
    assert "pytorch_model.bin may run code when opened" in said
    assert "save_pretrained" in said


def test_a_template_is_found_wherever_it_may_lie(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    assert not find_model(Model(name=str(folder))).has_template
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "chat_template": "x"}))
    assert find_model(Model(name=str(folder))).has_template


def _response(status: int) -> Any:
    return httpx2.Response(status, request=httpx2.Request("GET", "https://hub.invalid"))


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (errors.GatedRepoError("gated", response=_response(403)), "hf auth login"),
        (errors.RepositoryNotFoundError("none", response=_response(404)), "nor on the Hub"),
        (errors.HfHubHTTPError("down", response=_response(503)), "the Hub can't be reached"),
        (errors.LocalEntryNotFoundError("offline"), "nor in the local Hub cache"),
        (ConnectionError("no route"), "the Hub can't be reached (ConnectionError)"),
    ],
)
def test_each_way_the_hub_may_fail_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    said = refused("somebody/something")
    assert says in said
    assert "\n" not in said


def test_of_a_catalogue_model_that_cannot_be_fetched_it_says_so_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise errors.LocalEntryNotFoundError("offline")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    said = refused("Qwen/Qwen3-8B")
    assert said.startswith("Qwen/Qwen3-8B: it is in Pegbox' catalogue, but its files aren't on this machine")
    assert "the Hub can't be reached (HF_HUB_OFFLINE is set)" in said
    assert "hf download Qwen/Qwen3-8B" in said
    assert "neither" not in said


def test_a_hub_models_small_files_are_fetched_and_its_id_kept(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    asked: dict[str, Any] = {}

    def download(name: str, **wanted: Any) -> str:
        asked.update(wanted, name=name)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    found = find_model(Model(name="somebody/something", revision="v1"))
    assert (asked["name"], asked["revision"]) == ("somebody/something", "v1")
    assert not any("safetensors" in pattern for pattern in asked["allow_patterns"])
    assert not found.complete
    assert found.reference == "somebody/something"


def test_a_model_in_the_local_cache_needs_no_network(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda _repo, file, revision: str(folder / file))
    found = find_model(Model(name="somebody/something"))
    assert found.complete
    assert found.folder == folder


def test_a_download_that_was_broken_off_is_not_complete(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda _repo, file, revision: str(folder / file))
    found = find_model(Model(name="somebody/something"))
    assert not found.complete
    assert found.weight_files == ("model-1.safetensors", "model-2.safetensors")
    assert "lacks weights in safetensors (model-2.safetensors)" in refused(folder)


def test_a_catalogue_name_means_the_same_in_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bundled").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_model(Model(name="bundled")).folder == BUNDLED / "model"
