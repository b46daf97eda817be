"""The local Hub cache, in every state that people leave it in."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pegbox_methods.recipe import Model
from pegbox_runs.hub_cache import cached_models
from pegbox_runs.models import BUNDLED
from pegbox_tui.wizard.model.entries import taken_entry

CONFIG = json.loads((BUNDLED / "model" / "config.json").read_text())
SHA = "a" * 40


def put(cache: Path, name: str, config: Any = CONFIG, *, sha: str = SHA, weights: int = 100, main: bool = True) -> Path:
    """Lay a model into a cache as huggingface_hub does: blobs, and links to them. Returns: its folder."""
    folder = cache / f"models--{name.replace('/', '--')}"
    snapshot = folder / "snapshots" / sha
    snapshot.mkdir(parents=True)
    (folder / "blobs").mkdir(exist_ok=True)
    for file, content in {"config.json": json.dumps(config).encode(), "model.safetensors": b"x" * weights}.items():
        blob = folder / "blobs" / f"{sha[:8]}-{file}"
        blob.write_bytes(content)
        (snapshot / file).symlink_to(os.path.relpath(blob, snapshot))
    if main:
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(sha)
    return folder


def test_a_whole_model_is_found_with_its_size_and_shape(tmp_path: Path) -> None:
    put(tmp_path, "org/name", weights=5000)
    (model,) = cached_models(tmp_path).models
    assert model.found.name == "org/name"
    assert model.complete
    assert model.revision is None
    assert model.disk_bytes == 5000 + len(json.dumps(CONFIG)) + len(SHA)
    assert model.found.shape is not None


def test_a_link_to_a_blob_that_is_gone_makes_it_partial(tmp_path: Path) -> None:
    folder = put(tmp_path, "org/name")
    (folder / "blobs" / f"{SHA[:8]}-model.safetensors").unlink()
    (model,) = cached_models(tmp_path).models
    assert not model.complete


def test_what_has_no_config_yet_is_no_model(tmp_path: Path) -> None:
    folder = put(tmp_path, "org/begun")
    (folder / "blobs" / f"{SHA[:8]}-config.json").unlink()
    (tmp_path / "models--org--empty").mkdir()
    (tmp_path / "models--org--file").write_text("not a folder")
    (tmp_path / "datasets--org--rows").mkdir()
    (tmp_path / "version.txt").write_text("1")
    assert cached_models(tmp_path) == cached_models(tmp_path / "nowhere")


def test_a_model_fetched_by_its_commit_alone_is_named_with_it(tmp_path: Path) -> None:
    put(tmp_path, "org/pinned", sha="b" * 40, main=False)
    (model,) = cached_models(tmp_path).models
    assert model.revision == "b" * 40


def test_a_main_branch_that_was_not_fetched_counts_for_nothing(tmp_path: Path) -> None:
    folder = put(tmp_path, "org/name", main=False)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("c" * 40)
    (model,) = cached_models(tmp_path).models
    assert model.revision == SHA


def test_one_that_cannot_be_read_is_told_of_and_the_others_are_listed(tmp_path: Path) -> None:
    put(tmp_path, "org/good")
    broken = put(tmp_path, "org/broken")
    (broken / "blobs" / f"{SHA[:8]}-config.json").write_bytes(b"{")
    scan = cached_models(tmp_path)
    assert [model.found.name for model in scan.models] == ["org/good"]
    assert len(scan.faults) == 1
    assert "config.json: can't be read as JSON" in scan.faults[0]


def test_a_broken_index_makes_it_partial_not_a_crash(tmp_path: Path) -> None:
    folder = put(tmp_path, "org/name")
    (folder / "snapshots" / SHA / "model.safetensors.index.json").write_text("[]")
    (model,) = cached_models(tmp_path).models
    assert not model.complete


def test_json_that_nests_without_end_costs_one_model_and_not_the_list(tmp_path: Path) -> None:
    put(tmp_path, "org/good")
    for name, file in (("org/a", "tokenizer_config.json"), ("org/b", "model.safetensors.index.json")):
        (put(tmp_path, name) / "snapshots" / SHA / file).write_text("[" * 100_000)
    broken = put(tmp_path, "org/c")
    (broken / "blobs" / f"{SHA[:8]}-config.json").write_text("[" * 100_000)
    scan = cached_models(tmp_path)
    assert {model.found.name: model.complete for model in scan.models} == {
        "org/a": True,
        "org/b": False,
        "org/good": True,
    }
    assert not any(model.found.has_template for model in scan.models)
    assert ["can't be read as JSON" in fault for fault in scan.faults] == [True]
    nested = next(model.found for model in scan.models if model.found.name == "org/b")
    assert not taken_entry(Model(name="org/b"), nested).complete


def test_a_cache_that_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.write_text("a file where a folder should be")
    scan = cached_models(cache)
    assert scan.models == ()
    assert scan.faults == (f"the Hub cache {cache} can't be read: Not a directory.",)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_told_of(tmp_path: Path) -> None:
    folder = put(tmp_path, "org/closed")
    (folder / "snapshots").chmod(0)
    try:
        assert "Permission denied" in cached_models(tmp_path).faults[0]
    finally:
        (folder / "snapshots").chmod(0o755)


def test_the_cache_is_looked_for_where_the_hubs_library_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "hub", "org/name")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    assert [model.found.name for model in cached_models().models] == ["org/name"]


def test_a_real_model_of_the_cache_counts_its_weights(tmp_path: Path) -> None:
    folder = put(tmp_path, "org/name")
    shutil.copy(BUNDLED / "model" / "chat_template.jinja", folder / "snapshots" / SHA)
    (model,) = cached_models(tmp_path).models
    assert model.found.has_template
