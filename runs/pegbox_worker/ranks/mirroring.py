"""What one process has on its disk, for machines that don't see that: sent in blocks, written once on each."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

import msgspec

from pegbox_runs.checkpoints import MANIFEST, GoodCheckpoint, Unfit, verify
from pegbox_runs.run_folder import RunFolder
from pegbox_worker.ranks.group import Group

BLOCK_BYTES = 8 * 2**20
MARKS = "launch"
"""Folder in a run's folder in which a file is put for the others to look for."""


class _Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What the leading process has."""

    root: str
    """The run's folder there."""
    place: str
    """Below it."""
    mark: str
    """Name of a file that lies in `root` now."""
    files: tuple[tuple[str, int], ...] = ()
    """Names below the place, and bytes."""
    manifest: bytes = b""
    """Of a checkpoint: which has every file's hash."""
    fault: str = ""
    """Why it can't be read there."""


class _Block(msgspec.Struct, frozen=True, kw_only=True):
    """How the next block of a file came to be."""

    size: int
    fault: str = ""


def seen_by_all(group: Group, folder: RunFolder, place: Path) -> Path:
    """Give where this process reads what the leading one has in a folder of its run's folder.

    `place` counts on the leading process alone. Who sees that one's disk reads there, and nothing is sent where all do.
    Raises: OSError, on all processes alike: it can't be read there, isn't below the run's folder, or can't be written
    on a machine, which is named.
    """
    if group.processes == 1:
        return place
    mark = folder.path / MARKS / f".seen-{secrets.token_hex(8)}"
    try:
        offer = _offer(folder, place, mark) if group.leads else _Offer(root="", place="", mark="")
        offer = msgspec.json.decode(group.agree(msgspec.json.encode(offer)), type=_Offer)
        _refuse_outside(offer)
        there, here = Path(offer.root) / offer.place, folder.path / offer.place
        sees = Path(offer.root, MARKS, offer.mark).exists()
        lacks = not sees and not _same(here, offer)
        needed = any(group.collect(b"1" if lacks else b""))
    finally:
        if group.leads:
            mark.unlink(missing_ok=True)
    if offer.fault:
        raise OSError(errno.EIO, offer.fault)
    if needed:
        _send(group, there, here, offer, writes=lacks and group.local_rank == 0)
    return there if sees else here


def shared_checkpoint(group: Group, folder: RunFolder, found: GoodCheckpoint | None) -> GoodCheckpoint | None:
    """Give all processes the checkpoint that the leading one goes on from, where each can read it.

    Raises: Unfit: it isn't whole where this one looks. OSError: as `seen_by_all`.
    """
    there = group.agree(b"" if found is None else os.fsencode(found.path))
    if not there:
        return None
    path = seen_by_all(group, folder, Path(os.fsdecode(there)))
    return found if group.leads else verify(path)


def _offer(folder: RunFolder, place: Path, mark: Path) -> _Offer:
    root = folder.path.absolute()
    below = place.absolute().relative_to(root).as_posix()
    try:
        mark.parent.mkdir(mode=0o700, exist_ok=True)
        mark.touch(mode=0o600)
        files = sorted(place.rglob("*"))
        listed = tuple((file.relative_to(place).as_posix(), file.stat().st_size) for file in files if file.is_file())
        manifest = (place / MANIFEST).read_bytes() if (place / MANIFEST).is_file() else b""
    except OSError as error:
        return _Offer(root=str(root), place=below, mark=mark.name, fault=_where(error))
    return _Offer(root=str(root), place=below, mark=mark.name, files=listed, manifest=manifest)


def _refuse_outside(offer: _Offer) -> None:
    """See that all that is offered lies below the run's folder: it is written, and replaced, below this machine's.

    Raises: OSError.
    """
    named = [PurePosixPath(name) for name in (offer.place, *(name for name, _ in offer.files))]
    if any(name.is_absolute() or not name.parts or ".." in name.parts for name in named) or "/" in offer.mark:
        raise OSError(errno.EINVAL, "the leading process offers files that aren't below the run's folder")


def _same(here: Path, offer: _Offer) -> bool:
    """Tell whether a checkpoint that was sent before is the one that is needed, byte by byte."""
    if not offer.manifest:
        return False
    with suppress(OSError, Unfit):
        return (here / MANIFEST).read_bytes() == offer.manifest and bool(verify(here))
    return False


def _send(group: Group, there: Path, here: Path, offer: _Offer, *, writes: bool) -> None:
    """Send every file from the leading process; who writes none hears it all the same. Raises: OSError, on all."""
    aside = here.with_name(f".{here.name}.part")
    fault = _begun(aside) if writes else ""
    unread = ""
    for name, size in offer.files:
        for block, wrong in _blocks(group, there / name, size):
            unread = unread or wrong
            if writes and not fault and not unread:
                fault = _appended(aside / name, block)
    if writes and not fault and not unread:
        fault = _put(aside, here)
    if fault or (writes and unread):
        shutil.rmtree(aside, ignore_errors=True)
    faults = [said.decode() for said in group.collect(fault.encode()) if said]
    if unread or faults:
        number, _, said = (unread or faults[0]).partition(":")
        raise OSError(int(number), f"{os.strerror(int(number))}: {said}")


def _blocks(group: Group, file: Path, size: int) -> Iterator[tuple[bytes, str]]:
    """Give a file's blocks to all; behind a fault of the disk there are no more of it."""
    sent = 0
    source = None
    try:
        while sent < size or size == 0:
            block, wrong = b"", ""
            if group.leads:
                try:
                    source = source or file.open("rb")  # held over blocks
                    block = source.read(BLOCK_BYTES)
                    if len(block) == 0 and size:
                        wrong = f"{errno.EIO}:{file} became shorter"
                except OSError as error:
                    wrong = f"{error.errno or errno.EIO}:{_where(error)}"
            told = msgspec.json.decode(
                group.agree(msgspec.json.encode(_Block(size=len(block), fault=wrong))), type=_Block
            )
            content = group.agree(block) if told.size else b""
            yield content, told.fault
            sent += told.size
            if told.fault or size == 0:
                return
    finally:
        if source is not None:
            source.close()


def _begun(aside: Path) -> str:
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(mode=0o700, parents=True)
    except OSError as error:
        return f"{error.errno or errno.EIO}:{_where(error)}"
    return ""


def _appended(file: Path, block: bytes) -> str:
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with file.open("ab") as target:
            target.write(block)
    except OSError as error:
        return f"{error.errno or errno.EIO}:{_where(error)}"
    return ""


def _put(aside: Path, here: Path) -> str:
    try:
        shutil.rmtree(here, ignore_errors=True)
        aside.rename(here)
    except OSError as error:
        return f"{error.errno or errno.EIO}:{_where(error)}"
    return ""


def _where(error: OSError) -> str:
    return f"{error.filename or 'the disk'} on {socket.gethostname()} ({error.strerror})"
