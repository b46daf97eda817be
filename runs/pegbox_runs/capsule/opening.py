"""Opening a capsule that somebody sent: nothing of it is believed before it was checked, and nothing of it is run."""

from __future__ import annotations

import hashlib
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TypeVar

import msgspec

from pegbox_methods.events import UNDECODABLE, Evaluation, Event, Prepared, Step, event_decoder
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.room import refuse_too_little_room
from pegbox_runs.capsule import contents as names
from pegbox_runs.capsule.contents import Contents
from pegbox_runs.changes import Revision
from pegbox_runs.environment import Environment
from pegbox_runs.printable import one_line, printable
from pegbox_runs.summary import Summary

MOST_MEMBERS = 100_000
MANIFEST_BYTES = 64 * 2**20
TEXT_BYTES = 2**30
"""Of one member that is read into memory."""
CHUNK_BYTES = 2**20
UNZIPPABLE = (zipfile.BadZipFile, NotImplementedError, EOFError, UnicodeDecodeError, RuntimeError, ValueError)
"""What `zipfile` raises at a file that isn't as it should be."""
Record = TypeVar("Record")


class Opened:
    """A capsule whose every member was held against its hash."""

    def __init__(self, place: Path, archive: zipfile.ZipFile, contents: Contents) -> None:
        self.place = place
        self.contents = contents
        self._archive = archive

    def text(self, name: str) -> bytes:
        """Read one member. Raises: Refusal: it isn't there, or is too large for a record."""
        member = self.contents.members.get(name)
        if member is None:
            raise _broken(self.place, f"it has no {name}")
        if member.bytes > TEXT_BYTES:
            raise _broken(self.place, f"{name} is larger than any record of Pegbox")
        return self._archive.read(name)

    def environment(self) -> Environment:
        """Read what the run stood on. Raises: Refusal."""
        return self._record(names.ENVIRONMENT, Environment)

    def summary(self) -> Summary:
        """Read how the run ended. Raises: Refusal."""
        return self._record(names.SUMMARY, Summary)

    def revisions(self) -> list[Revision]:
        """Read what the run was changed to on its way. Raises: Refusal."""
        if names.CHANGES not in self.contents.members:
            return []
        try:
            return [msgspec.json.decode(line, type=Revision) for line in self.text(names.CHANGES).splitlines()]
        except UNDECODABLE as error:
            raise _broken(self.place, f"{names.CHANGES}: {one_line(str(error), 200)}") from None

    def told(self) -> list[Event]:
        """Read the steps, evaluations and preparations that the run told. Raises: Refusal."""
        decoder = event_decoder()
        found: list[Event] = []
        for line in self.text(names.EVENTS).splitlines():
            try:
                event = decoder.decode(line)
            except UNDECODABLE:
                continue  # a later version's event, or a torn line of the run's own log
            if isinstance(event, Step | Evaluation | Prepared):
                found.append(event)
        return found

    def unpack(self, below: str, folder: Path) -> None:
        """Write the members below a name into a folder, which is there. Raises: Refusal: there is no room. OSError."""
        wanted = {name: made for name, made in self.contents.members.items() if name.startswith(below)}
        refuse_too_little_room(folder / "capsule", sum(made.bytes for made in wanted.values()))
        for name in wanted:
            path = folder / name.removeprefix(below)
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._archive.open(name) as member, path.open("xb") as file:
                while chunk := member.read(CHUNK_BYTES):
                    file.write(chunk)

    def _record(self, name: str, kind: type[Record]) -> Record:
        try:
            return msgspec.json.decode(self.text(name), type=kind)
        except UNDECODABLE as error:
            raise _broken(self.place, f"{name}: {one_line(str(error), 200)}") from None


@contextmanager
def opened(place: Path) -> Iterator[Opened]:
    """Open a capsule and check all of it.

    Raises: Refusal: it can't be read, isn't one, names places outside of itself, or a member was changed.
    """
    try:
        archive = zipfile.ZipFile(place)
    except OSError as error:
        raise Refusal(f"{printable(str(place))}: can't be read: {error.strerror or error}.") from None
    except UNZIPPABLE as error:
        raise _broken(place, one_line(str(error), 200)) from None
    with archive:
        try:
            contents = _checked(place, archive)
        except UNZIPPABLE as error:
            raise _broken(place, one_line(str(error), 200)) from None
        yield Opened(place, archive, contents)


def _checked(place: Path, archive: zipfile.ZipFile) -> Contents:
    infos = archive.infolist()
    if not infos or len(infos) > MOST_MEMBERS or infos[0].filename != names.MANIFEST:
        raise Refusal(f"{printable(str(place))}: isn't a capsule: its first file isn't {names.MANIFEST}.")
    for info in infos:
        _refuse_strange(place, info)
    if sum(info.file_size for info in infos) > place.stat().st_size:
        raise _broken(place, "its files overlap")
    if infos[0].file_size > MANIFEST_BYTES:
        raise _broken(place, f"{names.MANIFEST} is too large")
    try:
        contents = msgspec.json.decode(archive.read(names.MANIFEST), type=Contents)
    except UNDECODABLE as error:
        raise _broken(place, f"{names.MANIFEST}: {one_line(str(error), 200)}") from None
    if contents.form != names.FORM:
        raise Refusal(
            f"{printable(str(place))}: is of form {contents.form}, and this version of Pegbox reads form {names.FORM}. "
            "Take a newer one."
        )
    there = [info.filename for info in infos[1:]]
    if sorted(there) != sorted(contents.members):
        odd = sorted(set(there) ^ set(contents.members)) or sorted(name for name in there if there.count(name) > 1)
        raise _broken(place, f"{odd[0]} lies in it and isn't told, or is told and isn't there, or is there twice")
    for info in infos[1:]:
        _refuse_changed(place, archive, info, contents)
    return contents


def _refuse_strange(place: Path, info: zipfile.ZipInfo) -> None:
    """Refuse a member that leads elsewhere, unfolds, or is no plain file. Raises: Refusal."""
    name = info.filename
    path = PurePosixPath(name)
    outside = not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name or str(path) != name
    if outside or ":" in path.parts[0] or not name.isprintable():
        raise _broken(place, f"the name {one_line(name, 80)!r} leads out of it")
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size or info.flag_bits & 0x1:
        raise _broken(place, f"{name} is compressed or encrypted, and a capsule's files lie in it as they are")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.is_dir() or kind not in (0, stat.S_IFREG):
        raise _broken(place, f"{name} is no plain file")


def _refuse_changed(place: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, contents: Contents) -> None:
    told, digest = contents.members[info.filename], hashlib.sha256()
    if info.file_size != told.bytes:
        raise _broken(place, f"{info.filename} isn't what was packed: its size is another one")
    with archive.open(info) as member:
        while chunk := member.read(CHUNK_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != told.sha256:
        raise _broken(place, f"{info.filename} isn't what was packed: its SHA-256 is another one")


def _broken(place: Path, why: str) -> Refusal:
    return Refusal(f"{printable(str(place))}: the capsule is damaged or was tampered with: {one_line(why, 300)}.")
