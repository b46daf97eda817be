"""A run outlives the connection and the terminal it was started from: a real sshd on loopback, a real tmux."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from pegbox_methods.events import Step
from pegbox_runs.run_folder import RunFolder, all_runs
from tests.commands import PATIENCE_SECONDS, pegbox, wait_for, write_recipe_text

pytestmark = pytest.mark.slow

STEPS = 6
SLOWLY = json.dumps([{"at": "step-end", "do": "hang:0.8"}])
"""So that the run is certainly in its middle when its terminal goes."""
PRIVILEGE_SEPARATION = Path("/run/sshd")
"""An empty folder that sshd insists on when root starts it; a service's own start makes it."""


@dataclass(frozen=True)
class Server:
    """An sshd of this test's own."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    def command(self, *remote: str, terminal: bool = False) -> list[str]:
        """Give the command line that runs something by a login."""
        options = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={self.folder / 'known'}", "BatchMode=yes"]
        return [
            *("ssh", "-F", "none", "-p", str(self.port), "-i", str(self.folder / "key")),
            *(part for option in options for part in ("-o", option)),
            *(["-tt"] if terminal else []),
            f"{getpass.getuser()}@127.0.0.1",
            shlex.join(remote),
        ]


def program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} isn't installed here")
    return found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    sshd, keygen = program("sshd"), program("ssh-keygen")
    program("ssh")
    made = _make_privilege_separation()
    folder = tmp_path / "sshd"
    folder.mkdir(mode=0o700)
    for name in ("host", "key"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "key.pub", folder / "authorized")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder / 'host'}\nAuthorizedKeysFile {folder / 'authorized'}\n"
        "PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin yes\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sshd, "-D", "-e", "-f", folder / "config"], stderr=log, stdin=subprocess.DEVNULL)
    server = Server(process, port, folder)
    try:
        _await_login(server)
        yield server
    finally:
        for one in (*psutil.Process(process.pid).children(recursive=True), process):
            one.kill()
        process.wait()
        if made:
            PRIVILEGE_SEPARATION.rmdir()


def _make_privilege_separation() -> bool:
    if os.getuid() != 0 or PRIVILEGE_SEPARATION.is_dir():
        return False
    try:
        PRIVILEGE_SEPARATION.mkdir(mode=0o755)
    except OSError as error:
        pytest.skip(f"sshd wants {PRIVILEGE_SEPARATION}, and that can't be made: {error}")
    return True


def _await_login(server: Server) -> None:
    for _ in range(50):
        done = subprocess.run(server.command("true"), capture_output=True, text=True, check=False, timeout=30)
        if done.returncode == 0:
            return
        if "Permission denied" in done.stderr:
            pytest.skip(f"sshd lets nobody in here: {(server.folder / 'log').read_text()[-300:]}")
        time.sleep(0.1)
    pytest.skip(f"sshd doesn't start here: {(server.folder / 'log').read_text()[-300:]}")


def training(home: Path, recipe: Path) -> list[str]:
    """Give the command that starts a run and watches it."""
    variables = {"PEGBOX_HOME": str(home), "HF_HUB_OFFLINE": "1", "PEGBOX_FAULTS": SLOWLY, "OMP_NUM_THREADS": "1"}
    settings = [f"{name}={value}" for name, value in variables.items()]
    return ["env", *settings, sys.executable, "-P", "-m", "pegbox", "train", str(recipe)]


def run_that_appears(home: Path) -> RunFolder:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if runs := all_runs():
            return runs[0]
        time.sleep(0.05)
    raise AssertionError(f"no run appeared in {home}")


def steps_seen(text: str) -> list[int]:
    """Give the steps that `pegbox watch --json` told."""
    events = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [event["step"] for event in events if event.get("event") == "step"]


def test_a_run_that_was_started_by_ssh_goes_on_when_the_connection_is_cut(
    server: Server, home: Path, tmp_path: Path
) -> None:
    recipe = write_recipe_text(tmp_path, training={"max_steps": STEPS})
    client = subprocess.Popen(
        server.command(*training(home, recipe), terminal=True),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    folder = run_that_appears(home)
    wait_for(folder, lambda event: isinstance(event, Step))
    children = psutil.Process(server.process.pid).children(recursive=True)
    sessions = [one for one in children if one.name().startswith("sshd")]
    assert sessions, "nothing would be cut"
    client.kill()
    client.wait()
    for process in sessions:
        with contextlib.suppress(psutil.NoSuchProcess):  # the client's end may have been enough
            process.kill()
    psutil.wait_procs(sessions, timeout=10)

    variables = [f"PEGBOX_HOME={home}", "HF_HUB_OFFLINE=1"]
    again = server.command("env", *variables, sys.executable, "-P", "-m", "pegbox", "watch", "last", "--json")
    done = subprocess.run(again, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert steps_seen(done.stdout) == list(range(1, STEPS + 1))


def test_a_run_that_was_started_in_tmux_goes_on_when_tmux_is_killed(home: Path, tmp_path: Path) -> None:
    tmux, name = program("tmux"), f"pegbox-{os.getpid()}"
    recipe = write_recipe_text(tmp_path, training={"max_steps": STEPS})
    environment = {**os.environ, "TMUX_TMPDIR": str(tmp_path), "TERM": "xterm-256color"}
    command = [tmux, "-L", name, "-f", "/dev/null", "new-session", "-d", shlex.join(training(home, recipe))]
    subprocess.run(command, env=environment, check=True, timeout=60)
    try:
        folder = run_that_appears(home)
        wait_for(folder, lambda event: isinstance(event, Step))
    finally:
        subprocess.run([tmux, "-L", name, "kill-server"], env=environment, check=False, timeout=60)
    done = pegbox("watch", "last", "--json", home=home)
    assert done.returncode == 0, done.stderr
    assert steps_seen(done.stdout) == list(range(1, STEPS + 1))
