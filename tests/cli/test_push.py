"""`pegbox push` against a Hub on this machine: what arrives, what doesn't, and what is said."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pegbox_runs.artefacts.artefact import ARTEFACT, Artefact
from pegbox_runs.run_folder import RunFolder
from tests.cli.pretended_hub import COMMIT, TOKEN, PretendedHub, pretended_hub
from tests.commands import pegbox
from tests.in_terminal import InTerminal, pegbox_command
from tests.runs.test_sharing import merged_of
from tests.runs.told_runs import base_at, told_run

Done = subprocess.CompletedProcess[str]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Give a run that left an adapter."""
    return told_run(base_at(tmp_path))


def push(home: Path, hub: PretendedHub | None, *options: str, **environment: str) -> Done:
    """Push the newest run."""
    surroundings = {**(hub.environment() if hub else {}), "HF_HOME": str(home / "hf"), **environment}
    done = pegbox("push", "last", "--repo", "me/model", *options, home=home, **surroundings)
    assert TOKEN not in done.stdout + done.stderr
    return done


def told(done: Done) -> dict[str, Any]:
    """Read the JSON answer, which is all of standard output."""
    return json.loads(done.stdout)


def test_all_arrives_in_one_private_commit_and_only_that(run: RunFolder, home: Path) -> None:
    with pretended_hub() as hub:
        done = push(home, hub, "--yes", "--json", "--base-id", "acme/base-1b")
    assert done.returncode == 0, done.stderr
    assert hub.created == {"name": "model", "organization": "me", "type": "model", "visibility": "private"}
    assert set(hub.received) == {"README.md", "adapter_config.json", "adapter_model.safetensors"}
    assert hub.received["adapter_model.safetensors"] == (run.adapter / "adapter_model.safetensors").read_bytes()
    assert b"base_model: acme/base-1b" in hub.received["README.md"]
    assert hub.tokens == {f"Bearer {TOKEN}"}
    answer = told(done)
    assert (answer["sent"], answer["visibility"]) == (True, "private")
    assert answer["card"].encode() == hub.received["README.md"]
    assert answer["commit"].endswith(f"/commit/{COMMIT}")
    assert {one["path"]: one["bytes"] for one in answer["files"]} == {
        name: len(content) for name, content in hub.received.items()
    }


def test_all_is_shown_before_anything_is_sent_and_nobody_there_means_no(run: RunFolder, home: Path) -> None:
    with pretended_hub() as hub:
        done = push(home, hub)
    assert done.returncode == 2
    for part in ("library_name: peft", "adapter_model.safetensors", "private; it will be made", "as          me"):
        assert part in done.stdout
    assert "send it with --yes" in done.stderr
    assert not [asked for asked in hub.asked if asked[0] != "GET"]


@pytest.mark.parametrize(("typed", "code"), [(b"y\n", 0), (b"\n", 1), (b"no\n", 1)])
def test_a_person_is_asked_and_only_yes_is_yes(typed: bytes, code: int, run: RunFolder, home: Path) -> None:
    with pretended_hub() as hub:
        environment = {**hub.environment(), "PEGBOX_HOME": str(home)}
        with InTerminal(pegbox_command("push", "last", "--repo", "me/model"), environment, lines=50) as terminal:
            terminal.wait_for("Send it? [y/N]")
            assert hub.commit is None
            terminal.type(typed)
            terminal.wait_for("Sent:" if code == 0 else "Nothing was sent.")
        assert (hub.commit is not None) == (code == 0)


def test_a_dry_run_needs_neither_network_nor_login_and_sends_nothing(run: RunFolder, home: Path) -> None:
    done = push(home, None, "--dry-run", "--json", HF_TOKEN="")
    assert done.returncode == 0, done.stderr
    assert (told(done)["sent"], told(done)["exists"]) == (False, None)
    with pretended_hub(private=True, files=["adapter_config.json", "other.txt"]) as hub:
        done = push(home, hub, "--dry-run", "--json")
    assert (told(done)["exists"], told(done)["replaces"]) == (True, ["adapter_config.json"])
    assert "beside them stay: other.txt" in done.stderr
    assert not [asked for asked in hub.asked if asked[0] != "GET"]


def test_without_a_login_or_network_it_is_said_what_to_do(run: RunFolder, home: Path) -> None:
    with pretended_hub() as hub:
        nobody = push(home, hub, "--yes", HF_TOKEN="", HF_TOKEN_PATH=str(home / "no-token"))
    assert (nobody.returncode, hub.asked) == (2, [])
    assert "`hf auth login`" in nobody.stderr
    offline = push(home, None, "--yes", HF_HUB_OFFLINE="1")
    assert offline.returncode == 2
    assert "HF_HUB_OFFLINE is set" in offline.stderr


def test_a_hub_that_cannot_be_reached_is_a_sentence(run: RunFolder, home: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nowhere = PretendedHub(address=f"http://127.0.0.1:{free.getsockname()[1]}")
        done = push(home, nowhere, "--yes", "--json")
    assert done.returncode == 1
    assert "can't be reached" in told(done)["error"]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("where", "status", "code", "said"),
    [
        ("whoami", 401, 2, "doesn't know this login (401). Run `hf auth login`"),
        ("repos/create", 403, 1, "doesn't let this login write there (403)"),
        ("repos/create", 409, 1, "somebody else changed it at the same moment (409)"),
        ("validate-yaml", 500, 1, "the Hub itself is in trouble (500)"),
        ("preupload", 403, 1, "was made, and is empty; the same command goes on"),
        ("/commit/", 412, 1, "was changed since it was shown here (412)"),
    ],
)
def test_what_the_hub_refuses_is_told_in_a_sentence_and_nothing_is_published(
    where: str, status: int, code: int, said: str, run: RunFolder, home: Path
) -> None:
    with pretended_hub(failing={where: status}) as hub:
        done = push(home, hub, "--yes", "--json")
    assert done.returncode == code, done.stderr
    assert said in (told(done)["error"] if code == 1 else done.stderr)
    assert "Traceback" not in done.stderr
    assert hub.commit is None


def test_an_upload_that_was_broken_off_leaves_nothing_half_and_goes_on(run: RunFolder, home: Path) -> None:
    with pretended_hub(failing={"/put/": 403}) as hub:
        broken = push(home, hub, "--yes")
        assert broken.returncode == 1
        assert "Nothing was published." in broken.stdout
        assert (hub.commit, hub.private) == (None, True)
        hub.failing.clear()
        again = push(home, hub, "--yes")
    assert again.returncode == 0, again.stderr
    assert len(hub.received) == 3


def test_a_token_that_may_only_read_is_told_before_all_else(run: RunFolder, home: Path) -> None:
    with pretended_hub(role="read") as hub:
        done = push(home, hub, "--yes")
    assert done.returncode == 2
    assert "may only read" in done.stderr
    assert hub.created is None


def test_a_repository_that_everybody_sees_is_not_written_to_unawares(run: RunFolder, home: Path) -> None:
    with pretended_hub(private=False) as hub:
        assert "Say --public" in push(home, hub, "--yes").stderr
        assert hub.commit is None
        done = push(home, hub, "--yes", "--public", "--json")
    assert told(done)["visibility"] == "public"
    assert hub.commit is not None


def test_what_lies_there_is_replaced_only_on_a_word_and_only_as_it_was_seen(run: RunFolder, home: Path) -> None:
    with pretended_hub(private=True, files=[".gitattributes", "README.md", "adapter_config.json", "mine.txt"]) as hub:
        refused = push(home, hub, "--yes")
        assert refused.returncode == 2
        assert "REPLACES 2 there: README.md, adapter_config.json" in refused.stdout
        assert hub.commit is None
        assert push(home, hub, "--yes", "--replace").returncode == 0
    assert hub.commit is not None
    assert hub.commit["parentCommit"] == COMMIT
    assert hub.created is None


def test_a_branch_is_made_where_it_is_not_there(run: RunFolder, home: Path) -> None:
    with pretended_hub(private=True) as hub:
        assert push(home, hub, "--yes", "--revision", "trial").returncode == 0
    assert hub.branches == {"trial"}
    assert ("POST", "/api/models/me/model/commit/trial") in hub.asked


def test_a_merged_model_is_sent_with_its_proof_and_an_unproven_one_is_not(run: RunFolder, home: Path) -> None:
    place = merged_of(run)
    with pretended_hub() as hub:
        assert push(home, hub, "--yes", "--what", "merged").returncode == 0
        assert set(hub.received) == {"README.md", "config.json", "model.safetensors", ARTEFACT}
        record = msgspec.json.decode((place / ARTEFACT).read_bytes(), type=Artefact)
        (place / ARTEFACT).write_bytes(msgspec.json.encode(msgspec.structs.replace(record, unproven="nobody looked.")))
        asked = len(hub.asked)
        done = push(home, hub, "--yes", "--replace", "--what", "merged")
        assert (done.returncode, len(hub.asked)) == (2, asked)
        assert "isn't shown to be the model that was trained: nobody looked." in done.stderr
        done = push(home, hub, "--yes", "--replace", "--what", "merged", "--unproven")
    assert done.returncode == 0
    assert b"**Not shown to be the same model:** nobody looked." in hub.received["README.md"]


def test_the_run_s_own_files_are_as_they_were(run: RunFolder, home: Path) -> None:
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in run.path.rglob("*")}
    with pretended_hub() as hub:
        push(home, hub, "--yes")
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in run.path.rglob("*")} == before
    assert not os.path.exists(home / "hf" / "token")  # noqa: PTH110
