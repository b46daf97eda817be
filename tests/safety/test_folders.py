"""What lies in a run's folder is its owner's alone, and nothing that was named from outside leads out of its place."""

from __future__ import annotations

import gzip
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pegbox_methods.events import Change, Failed
from pegbox_methods.refusal import Refusal
from pegbox_runs import commands
from pegbox_runs.changes import Revision, add_revision
from pegbox_runs.event_log import EventWriter
from pegbox_runs.models import find_model, named_model
from pegbox_runs.run_folder import find
from pegbox_runs.supervision.owner import Ownership
from pegbox_runs.supervision.telling import conclude
from tests.commands import pegbox
from tests.stories import made

OUTWARD = ("../out", "/tmp/out", "a/../../out", "..", "with space", "a\\b", "A", "", "-x")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_folders_are_0700_and_files_0600_whatever_the_umask(umask: int) -> None:
    before = os.umask(umask)
    try:
        folder = made()
        ownership = Ownership.take(folder)
        commands.send(folder.commands, "stop")
        writer = EventWriter(folder.events)
        writer.emit(Failed(what="x", where="x", remedy="x"))
        writer.close()
        add_revision(folder, Revision(time=0, step=1, why="asked", changes=(Change(key="a.b", before=1, after=2),)))
        conclude(folder)
        found = {path: stat.S_IMODE(path.stat().st_mode) for path in (folder.path, *folder.path.rglob("*"))}
        ownership.release()
    finally:
        os.umask(before)
    assert {path.name for path in found} >= {"changes.jsonl", "owner.json", "summary.json", "events.jsonl"}
    for path, mode in found.items():
        assert mode == (0o700 if path.is_dir() else 0o600), path.name


@pytest.mark.parametrize("harm", ["writable", "link", "foreign"])
def test_commands_are_obeyed_from_the_owners_own_file_alone(harm: str, tmp_path: Path) -> None:
    folder = made()
    commands.send(folder.commands, "stop")
    if harm == "writable":
        folder.commands.chmod(0o622)
    elif harm == "link":
        folder.commands.rename(tmp_path / "elsewhere")
        folder.commands.symlink_to(tmp_path / "elsewhere")
    elif os.getuid() == 0:
        os.chown(folder.commands, 12345, -1)
    else:
        pytest.skip("only root can give a file away")
    said: list[str] = []
    assert commands.CommandReader(folder.commands, distrust=said.append).new() == []
    assert len(said) == 1


@pytest.mark.parametrize("name", OUTWARD)
def test_a_new_methods_name_leads_nowhere(name: str, home: Path, tmp_path: Path) -> None:
    done = pegbox("new-method", "--folder", str(tmp_path / "new"), "--", name, home=home)
    assert done.returncode == 2, done.stdout
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["../../etc", "..", "/etc", "a/../b", "a/b/c"])
def test_a_models_or_a_runs_name_leads_nowhere(name: str) -> None:
    made()
    with pytest.raises(Refusal):
        find(name)
    with pytest.raises(Refusal):
        find_model(named_model(f"x{name}"))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_packed_file_that_unpacks_to_endless_bytes_takes_no_endless_memory(tmp_path: Path) -> None:
    bomb = tmp_path / "rows.jsonl.gz"
    with gzip.open(bomb, "wb", compresslevel=9) as file:
        for _ in range(300):
            file.write(bytes(2**20))
        file.write(b'\n{"prompt": "a", "completion": "b"}\n')
    assert bomb.stat().st_size < 2**20
    code = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from pegbox_runs.rows.reading.streams import ROW_BYTES, open_bytes, skip_line\n"
        "with open_bytes(Path(sys.argv[1]), '.gz') as stream:\n"
        "    assert len(stream.readline(ROW_BYTES + 1)) == ROW_BYTES + 1\n"
        "    assert skip_line(stream) > 200 * 2**20\n"
        "    assert stream.readline().startswith(b'{')\n"
        # Not getrusage's figure, which begins with the peak of the process that this one was forked from.
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, bomb], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 150 * 1024  # KiB


def test_a_cleaned_copy_follows_no_link_and_overwrites_nothing(home: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "a", "completion": "b"}\n{"prompt": "c", "completion": "d"}\n')
    victim, link = tmp_path / "victim", tmp_path / "fixed.jsonl"
    link.symlink_to(victim)
    done = pegbox("data", str(rows), "--fix", str(link), home=home)
    assert done.returncode != 0
    assert not victim.exists()
