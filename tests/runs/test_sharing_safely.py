"""What must not happen to files that are sent, nor through the names that a record gives them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import msgspec
import pytest

from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import ARTEFACT, Artefact
from pegbox_runs.artefacts.making import made_file
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.secrets import redactor
from pegbox_runs.sharing.hub import BrokenOff, There, look, send, sentence_of
from pegbox_runs.tuned import tuned_run
from tests.cli.pretended_hub import COMMIT, TOKEN
from tests.runs.test_sharing import content, merged_of, pushed
from tests.runs.told_runs import base_at, told_run

HOME = "/homeword"
VOCABULARY = json.dumps({"model": {"vocab": {HOME: 123, "~": 93, f"{HOME}/x": 7}}}).encode()


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the home be a word that vocabularies have, as `/root` is."""
    monkeypatch.setenv("HOME", HOME)
    redactor.cache_clear()
    yield
    redactor.cache_clear()


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Give a run that left an adapter."""
    return told_run(base_at(tmp_path))


def again(place: Path, **changes: object) -> None:
    """Change an artefact's record."""
    record = msgspec.json.decode((place / ARTEFACT).read_bytes(), type=Artefact)
    (place / ARTEFACT).write_bytes(msgspec.json.encode(msgspec.structs.replace(record, **changes)))


def with_files(folder: RunFolder, **files: bytes) -> Path:
    """Lay a merged model with more files into a run's exports."""
    place = merged_of(folder)
    for name, told in files.items():
        (place / name).write_bytes(told)
    again(place, files={path.name: made_file(path) for path in place.iterdir() if path.name != ARTEFACT})
    return place


@pytest.mark.usefixtures("at_home")
def test_a_vocabulary_that_has_the_home_as_a_word_is_sent_as_it_is(run: RunFolder) -> None:
    settings = json.dumps({"added_tokens_decoder": {"9": {"content": HOME}}, "name_or_path": f"{HOME}/base"})
    with_files(
        run,
        **{
            "tokenizer.json": VOCABULARY,
            "merges.txt": HOME.encode(),
            "tokenizer_config.json": settings.encode(),
            "model.gguf": b"GGUF\x00\x09\x00\x00\x00" + HOME.encode() + b"\x05\x00",
        },
    )
    push = pushed("merged")
    assert content(push, "tokenizer.json") == VOCABULARY
    assert content(push, "merges.txt") == HOME.encode()
    assert content(push, "model.gguf").startswith(b"GGUF")
    told = json.loads(content(push, "tokenizer_config.json"))
    assert told["added_tokens_decoder"]["9"]["content"] == HOME
    assert told["name_or_path"] == "~/base"


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize(
    ("name", "told", "said"),
    [
        ("chat_template.jinja", f"{{# {HOME}/templates #}}", "a chat template isn't rewritten"),
        ("model.gguf", f"GGUF\x00{HOME}/models/base", "holds the path of your home"),
    ],
)
def test_what_would_be_another_model_rewritten_is_refused_with_a_path_in_it(
    name: str, told: str, said: str, run: RunFolder
) -> None:
    with_files(run, **{name: told.encode()})
    with pytest.raises(Refusal, match=said):
        pushed("merged")


def test_a_path_that_only_begins_as_the_base_s_stays_as_it_is(run: RunFolder) -> None:
    base = tuned_run(run.id).model.folder
    with_files(run, **{"extra.json": json.dumps([str(base), f"{base}-2", f"{base}/x"]).encode()})
    assert json.loads(content(pushed("merged"), "extra.json")) == ["acme/base-1b", f"{base}-2", "acme/base-1b/x"]


@pytest.mark.parametrize("name", ["../outside.json", "/etc/hostname", "a/../../outside.json", "..", "", "a//b", "a\\b"])
def test_a_record_whose_names_lead_out_of_its_folder_is_refused(name: str, run: RunFolder, tmp_path: Path) -> None:
    place = merged_of(run)
    outside = place.parent / "outside.json"
    outside.write_text("mine")
    named = Path("/etc/hostname") if name.startswith("/") else outside
    again(place, files={name: made_file(named)})
    with pytest.raises(Refusal, match="isn't one below that folder"):
        pushed("merged")


def test_a_record_that_leads_through_a_linked_folder_is_refused(run: RunFolder, tmp_path: Path) -> None:
    place = merged_of(run)
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "x.json").write_text("mine")
    (place / "sub").symlink_to(tmp_path / "private")
    again(place, files={"sub/x.json": made_file(place / "sub" / "x.json")})
    with pytest.raises(Refusal, match="isn't one below that folder"):
        pushed("merged")


def test_a_base_that_was_moved_is_found_and_its_old_place_is_in_nothing_that_is_sent(
    run: RunFolder, tmp_path: Path
) -> None:
    old = tuned_run(run.id).model.folder
    with_files(run, **{"extra.json": json.dumps([str(old)]).encode()})
    new = Path(shutil.move(old, tmp_path / "elsewhere"))
    with pytest.raises(Refusal, match="--base"):
        pushed()
    for what in ("adapter", "merged"):
        push = pushed(what, base=str(new))
        assert "base_model: acme/base-1b" in push.card
        assert not [item.name for item in push.items if str(tmp_path).encode() in content(push, item.name)]


class _Found:
    private = True
    sha = COMMIT
    siblings = (type("Sibling", (), {"rfilename": "config.json"})(),)


class _Hub:
    """What a Hub answers whose repository has no branch of that name, and at which a person loses patience."""

    began_at: object = "nothing"

    def whoami(self) -> dict:
        return {"name": "me"}

    def model_info(self, repo: str, revision: str | None = None) -> _Found:
        if revision is not None:
            answer = type("Answer", (), {"status_code": 404, "headers": {}, "request": None})()
            raise huggingface_hub.errors.RevisionNotFoundError("no", response=answer)
        return _Found()

    def create_repo(self, *_: object, **__: object) -> None:
        pass

    def create_branch(self, *_: object, revision: str | None, **__: object) -> None:
        _Hub.began_at = revision

    def create_commit(self, *_: object, **__: object) -> None:
        raise KeyboardInterrupt


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let that be the Hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(huggingface_hub, "HfApi", _Hub)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: TOKEN)


@pytest.mark.usefixtures("hub")
def test_a_new_branch_has_the_files_of_the_one_that_it_begins_as(run: RunFolder) -> None:
    there = look("me/model", "trial")
    assert (there.branch_exists, there.files, there.commit) == (False, {"config.json"}, COMMIT)
    with pytest.raises(BrokenOff):
        send("me/model", (), there, public=False, branch="trial", message="m")
    assert _Hub.began_at == COMMIT


@pytest.mark.usefixtures("hub")
def test_breaking_off_says_that_an_empty_repository_was_made() -> None:
    there = There("me", False, None, False, None, frozenset())
    with pytest.raises(KeyboardInterrupt) as broken:
        send("me/model", (), there, public=False, branch=None, message="m")
    assert isinstance(broken.value, BrokenOff)
    assert "was made, and is empty" in broken.value.sentence


class _Answer:
    status_code = 403


class _Denied(Exception):
    response = _Answer()


def test_a_refusal_of_the_hub_is_found_behind_what_its_library_raised() -> None:
    error = RuntimeError("uploading failed")
    error.__cause__ = _Denied()
    assert "may only read" in sentence_of(error, "me/model")
    assert "can't be reached (ConnectError)" in sentence_of(type("ConnectError", (Exception,), {})(), "me/model")
    assert "no answer in time" in sentence_of(type("ReadTimeout", (Exception,), {})(), "me/model")
