"""The run's result on disk: an adapter appears whole or not at all, and waits for room where there is none."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pegbox_methods.events import Event, Notice
from pegbox_runs.faults import strike
from pegbox_runs.figures import duration
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.tuned import PEFT_CONFIG
from pegbox_worker.checkpoint_shelf import sync_file, sync_folder
from pegbox_worker.failure import explain

LONGEST_WAIT_SECONDS = 3600.0
NOTICE_SECONDS = 600.0
TRY_SECONDS = 5.0
POLL_SECONDS = 0.5
SETS = ("target_modules", "exclude_modules", "feedforward_modules", "modules_to_save")
"""Keys of PEFT's config that it keeps as sets, which Python walks through in another order in each process."""


def write_adapter(folder: RunFolder, write: Callable[[Path], None]) -> None:
    """Put the adapter that `write` writes in the place of what is there.

    Raises: OSError and whatever `write` raises; what was there stays then.
    """
    aside, before = _aside(folder), _before(folder)
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(mode=0o700)
        strike("adapter-write")
        write(aside)
        _settle_order(aside / PEFT_CONFIG)
        for path in sorted(aside.rglob("*"), reverse=True):
            (sync_folder if path.is_dir() else sync_file)(path)
        sync_folder(aside)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    shutil.rmtree(before, ignore_errors=True)
    if folder.adapter.exists():
        folder.adapter.rename(before)
    strike("adapter-rename")
    aside.rename(folder.adapter)
    sync_folder(folder.path)
    shutil.rmtree(before, ignore_errors=True)


def _settle_order(config: Path) -> None:
    """Write PEFT's sets of names in one order, so that a repeated run writes the same file."""
    try:
        told = json.loads(config.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return  # the adapter is none of PEFT's
    settled = {key: sorted(value) if key in SETS and isinstance(value, list) else value for key, value in told.items()}
    config.write_text(json.dumps(settled, indent=2, sort_keys=True), encoding="utf-8")


def mend_adapter(folder: RunFolder) -> None:
    """Give the earlier adapter its name back, if a worker died between taking it away and putting the new one there."""
    with suppress(OSError):
        if not folder.adapter.exists() and _before(folder).exists():
            _before(folder).rename(folder.adapter)
    for leftover in (_aside(folder), _before(folder)):
        shutil.rmtree(leftover, ignore_errors=True)


def when_there_is_room(work: Callable[[], None], tell: Callable[[Event], None], stopping: Callable[[], bool]) -> None:
    """Do something that needs room on the disk, again and again until it succeeds or an hour is over.

    `stopping`: becomes true where a person wants the run to end; that ends the wait too.
    Raises: what the work raised last.
    """
    began = time.monotonic()
    told = -NOTICE_SECONDS
    stopped_before = stopping()
    while True:
        try:
            work()
            return
        except Exception as error:
            waited = time.monotonic() - began
            given_up = stopping() and not stopped_before
            if explain(error, "saving").kind != "disk" or waited >= LONGEST_WAIT_SECONDS or given_up:
                raise
            if waited - told >= NOTICE_SECONDS:
                told = waited
                tell(_notice(error, waited))
        _pause(stopping if not stopped_before else lambda: False)


def _pause(over: Callable[[], bool]) -> None:
    end = time.monotonic() + TRY_SECONDS
    while time.monotonic() < end and not over():
        time.sleep(POLL_SECONDS)


def _notice(error: Exception, waited: float) -> Notice:
    so_far = f" It has waited {duration(waited)}." if waited >= 1 else ""
    text = (
        f"{explain(error, 'saving').what}. The training is done; the run waits until the adapter can be saved, at most "
        f"{duration(LONGEST_WAIT_SECONDS)}: free some disk space.{so_far}"
    )
    return Notice(text=text, about="waiting-for-room")


def _aside(folder: RunFolder) -> Path:
    return folder.path / ".adapter.part"


def _before(folder: RunFolder) -> Path:
    return folder.path / ".adapter.before"
