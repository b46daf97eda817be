"""Checkpoints as they lie on disk: which are whole, which is the newest of those, what room the next one needs."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from pegbox_runs.run_folder import RunFolder

MANIFEST = "complete.json"
"""Written last: a folder without it isn't a checkpoint yet."""
FORMAT = 1
"""What the files of a checkpoint mean; raised when a later version can't be read by this one."""
PREFIX = "checkpoint-"
ASIDE = ".part"
READ_BYTES = 1 << 20


Reason = Literal["planned", "asked", "ending", "pause", "rescue"]


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run has come, as far as its log must go on from it."""

    step: int = 0
    tokens: int = 0
    """Tokens trained on, without padding."""
    padding: int = 0
    """Positions wasted on padding."""
    training_seconds: float = 0.0
    """Sum of the steps' seconds."""
    untrained_loss: float | None = None
    """Evaluation loss before the first step; None: there was none."""
    best_loss: float | None = None
    """Lowest evaluation loss since; None: there was none."""
    best_step: int | None = None
    """Where it was."""


class WrittenFile(msgspec.Struct, frozen=True, kw_only=True):
    """What one file must be."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """complete.json: what a checkpoint holds, so that it can be told whole from torn."""

    format: int
    step: int
    """Steps that were done."""
    time: float
    """Seconds since 1970 in UTC."""
    reason: Reason
    """As the event `checkpoint` tells it."""
    progress: Progress
    files: dict[str, WrittenFile]
    """All of them but this one, by name; `/` between the folders of a name."""
    seal: str = ""
    """SHA-256 of this record without its seal."""


@dataclass(frozen=True)
class GoodCheckpoint:
    """A checkpoint whose every byte is what was written."""

    path: Path
    manifest: Manifest

    @property
    def step(self) -> int:
        """Steps that were done."""
        return self.manifest.step

    @property
    def progress(self) -> Progress:
        """How far the run had come."""
        return self.manifest.progress

    @property
    def bytes(self) -> int:
        """What it takes on disk."""
        return sum(file.bytes for file in self.manifest.files.values())


@dataclass(frozen=True)
class Rejected:
    """A checkpoint that nobody may go on from."""

    path: Path
    reason: str


class Unfit(Exception):
    """What is wrong with a checkpoint."""


def newest_good(folder: RunFolder) -> tuple[GoodCheckpoint | None, list[Rejected]]:
    """Find the checkpoint to go on from: the one of the highest step whose every byte is there.

    Returns: it, or None; and the newer ones that were passed over, newest first.
    """
    rejected: list[Rejected] = []
    for _, path in sorted(checkpoint_folders(folder.checkpoints), reverse=True):
        try:
            return verify(path), rejected
        except Unfit as fault:
            rejected.append(Rejected(path, str(fault)))
    return None, rejected


def verify(path: Path) -> GoodCheckpoint:
    """Read every file of a checkpoint and compare it with what was written.

    Raises: Unfit: something is missing, torn or changed.
    """
    manifest = _read_manifest(path)
    for name, written in manifest.files.items():
        if not _inside(name):
            raise Unfit(f"{MANIFEST} names a file outside the checkpoint")
        try:
            found = mark(path / name)
        except OSError as error:
            raise Unfit(f"{name} can't be read ({error.strerror})") from error
        if found.bytes != written.bytes:
            raise Unfit(f"{name} has {found.bytes} of {written.bytes} bytes")
        if found.sha256 != written.sha256:
            raise Unfit(f"{name} isn't what was written: its SHA-256 differs")
    return GoodCheckpoint(path, manifest)


def sealed(manifest: Manifest) -> bytes:
    """Write a manifest so that a change of any of it can be told."""
    whole = msgspec.structs.replace(manifest, seal=_seal(manifest))
    return msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n"


def mark(path: Path) -> WrittenFile:
    """Read a file through, for its length and its SHA-256.

    Raises: OSError.
    """
    digest, length = hashlib.sha256(), 0
    with path.open("rb") as file:
        while part := file.read(READ_BYTES):
            digest.update(part)
            length += len(part)
    return WrittenFile(bytes=length, sha256=digest.hexdigest())


def checkpoint_folders(place: Path) -> Iterator[tuple[int, Path]]:
    """List step and folder of all checkpoints that appeared under their names, whole or not, in no order."""
    try:
        entries = list(place.iterdir())
    except FileNotFoundError:
        return
    for path in entries:
        found = re.fullmatch(rf"{PREFIX}([0-9]{{1,18}})", path.name)
        if found and path.is_dir() and not path.is_symlink():
            yield int(found[1]), path


def folder_of(place: Path, step: int) -> Path:
    """Name the folder of a step's checkpoint."""
    return place / f"{PREFIX}{step}"


def superfluous(steps: Sequence[int], *, newest: int, best: int | None, limit: int) -> list[int]:
    """Choose what rotation removes: the oldest ones above the limit, never the newest good one and never the best.

    `newest` is the newest one known to be whole; what has a higher step isn't, or is of a past that is taken anew, and
    goes first. Returns: steps in the order in which they may be deleted.
    """
    kept = {newest} | ({best} if best is not None else set())
    later = sorted(step for step in steps if step > newest and step not in kept)
    older = sorted(step for step in steps if step < newest and step not in kept)
    room = max(0, limit - len(kept))
    return later + older[: max(0, len(older) - room)]


def free_bytes(place: Path) -> int:
    """Give what this user may still write to the disk of a place.

    Raises: OSError.
    """
    return shutil.disk_usage(place).free


def tree_bytes(path: Path) -> int:
    """Add up the files of a folder; what vanishes meanwhile counts nothing."""
    total = 0
    for file in path.rglob("*"):
        try:
            total += file.lstat().st_size if file.is_file() else 0
        except OSError:
            continue
    return total


def _seal(manifest: Manifest) -> str:
    return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(manifest, seal=""))).hexdigest()


def _inside(name: str) -> bool:
    parts = name.split("/")
    return "\0" not in name and all(part not in ("", ".", "..") for part in parts)


def _read_manifest(path: Path) -> Manifest:
    try:
        manifest = msgspec.json.decode((path / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise Unfit(f"it has no {MANIFEST}, which is written last") from None
    except OSError as error:
        raise Unfit(f"{MANIFEST} can't be read ({error.strerror})") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unfit(f"{MANIFEST} can't be understood") from error
    if manifest.seal != _seal(manifest):
        raise Unfit(f"{MANIFEST} isn't what was written: its seal differs")
    if manifest.format != FORMAT:
        raise Unfit(f"it is of format {manifest.format}, and this version of Pegbox reads {FORMAT}")
    if path.name != f"{PREFIX}{manifest.step}" or manifest.progress.step != manifest.step:
        raise Unfit(f"{MANIFEST} says that it is of step {manifest.step}")
    if not manifest.files:
        raise Unfit(f"{MANIFEST} names no files")
    return manifest
