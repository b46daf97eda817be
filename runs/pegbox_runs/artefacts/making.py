"""Making an artefact's folder: whole or not at all, taken up where it was broken off, nothing overwritten."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ENOTDIR
from pathlib import Path

import msgspec

from pegbox_methods.events import UNDECODABLE
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import ARTEFACT, MadeFile, read_artefact
from pegbox_runs.printable import printable
from pegbox_runs.whole_file import write_whole

DONE = "pegbox-done.json"
LOCK = "pegbox-lock"


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """pegbox-done.json, in a folder that is being made: which of its files are whole."""

    order: str
    files: dict[str, MadeFile] = {}


@dataclass(frozen=True)
class Made:
    """A place that already holds what was asked for."""

    folder: Path


class Making:
    """A folder beside its later place, named `.NAME.part`, to which files are added one by one."""

    def __init__(self, place: Path, order: str) -> None:
        self.place = place
        self.order = order
        self.folder = aside_of(place)
        self._files: dict[str, MadeFile] = {}

    @property
    def files(self) -> dict[str, MadeFile]:
        """What is whole so far, by path relative to the folder."""
        return dict(self._files)

    def add(self, name: str, write: Callable[[Path], None]) -> Path:
        """Have one file written by `write`, unless an earlier try left it whole. Returns: its path.

        `write` gets a path beside the later one; what it writes appears under its name only when it has returned.
        Raises: OSError; whatever `write` raises; what was whole stays.
        """
        path = self.folder / name
        if name in self._files:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.part")
        aside.unlink(missing_ok=True)
        try:
            write(aside)
            _force(aside)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        aside.replace(path)
        self._files[name] = made_file(path)
        self._note()
        return path

    def adopt(self) -> None:
        """Take every file that lies in the folder as whole, for writers that make several at once.

        They are noted together or not at all: some of a model's files alone are no model.
        """
        found: dict[str, MadeFile] = {}
        for path in sorted(self.folder.rglob("*")):
            name = str(path.relative_to(self.folder))
            if path.is_file() and name not in (DONE, LOCK, ARTEFACT):
                _force(path)
                found[name] = made_file(path)
        self._files = found
        self._note()

    def finish(self) -> Path:
        """Give the folder its name; its record must be written by then. Raises: OSError."""
        (self.folder / DONE).unlink(missing_ok=True)
        (self.folder / LOCK).unlink(missing_ok=True)
        self.folder.rename(self.place)
        return self.place

    def _note(self) -> None:
        write_whole(self.folder / DONE, msgspec.json.encode(Done(order=self.order, files=self._files)))

    def _take_up(self) -> None:
        """Keep what an earlier try for the same order left whole, and nothing else."""
        try:
            done = msgspec.json.decode((self.folder / DONE).read_bytes(), type=Done)
        except (OSError, *UNDECODABLE):
            done = Done(order="")
        kept = done.files if done.order == self.order else {}
        for path in sorted(self.folder.rglob("*"), reverse=True):
            name = str(path.relative_to(self.folder))
            if path.is_dir() and not path.is_symlink():
                if not any(path.iterdir()):
                    path.rmdir()
            elif name in kept and path.is_file() and made_file(path) == kept[name]:
                self._files[name] = kept[name]
            elif name != LOCK:
                path.unlink()


@contextmanager
def making(place: Path, order: str) -> Iterator[Making | Made]:
    """Begin, or take up, the making of what shall lie at `place`. `Made`: the very same lies there already.

    Where the body raises, what is whole stays aside for the next try.
    Raises: Refusal: something else lies at `place`, or another process is at it; it can't be written. OSError.
    """
    if os.path.lexists(place):
        found = read_artefact(place) if place.is_dir() else None
        if found is not None and found.order == order and is_unharmed(place):
            yield Made(place)
            return
        what = "something else lies there"
        if found is not None:
            what = f"another export lies there, of the run {found.run}"
        if found is not None and found.order == order:
            what = "what lies there is this very export, but files of it are damaged or gone"
        raise Refusal(
            f"{printable(str(place))}: {what}; nothing is overwritten. Remove it, or name another place with --output."
        )
    begun = Making(place, order)
    with _locked(begun.folder, place):
        begun._take_up()
        try:
            yield begun
        except BaseException:
            if not begun.files:
                discard(place)
            raise


@contextmanager
def _locked(folder: Path, place: Path) -> Iterator[None]:
    """Hold the folder in which something is made, alone. Raises: Refusal: it can't be had, or isn't ours. OSError."""
    try:
        if folder.is_symlink():
            raise NotADirectoryError(ENOTDIR, "its name is a link's, and what a link leads to isn't touched")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_strange(folder)
        lock = (folder / LOCK).open("w")
    except FileNotFoundError:  # another process gave the folder its name, or removed it, between two lines here
        raise Refusal(f"{printable(str(place))}: another process has just been at it. Try again.") from None
    except OSError as error:
        raise Refusal(
            f"{printable(str(place))}: can't be made in {printable(folder.name)}: {error.strerror}. Name another place "
            "with --output."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refusal(f"{printable(str(place))}: another process is making it right now. Wait for it.") from None
        if not _is_named(lock.fileno(), folder / LOCK):
            raise Refusal(f"{printable(str(place))}: another process has just been at it. Try again.")
        yield


def _is_named(handle: int, path: Path) -> bool:
    """Tell whether an open file is still the one that lies at a path."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def _refuse_strange(folder: Path) -> None:
    """Refuse a folder that somebody else filled: what isn't whole in it would be removed. Raises: Refusal; OSError."""
    names = {path.name for path in folder.iterdir()}
    if names and not names & {DONE, LOCK, ARTEFACT}:
        raise Refusal(
            f"{printable(str(folder))}: holds files that Pegbox didn't put there, and it is the folder in which it "
            "would work. Move them, or name another place with --output."
        )


def order_of(*facts: object) -> str:
    """Hash all that decides what an artefact holds; `facts` are whatever msgspec can encode."""
    return hashlib.sha256(msgspec.json.encode(facts, order="sorted")).hexdigest()


def is_whole(folder: Path) -> bool:
    """Tell whether every file that an artefact's record names is there, in its size."""
    artefact = read_artefact(folder)
    if artefact is None:
        return False
    try:
        return all((folder / name).stat().st_size == made.bytes for name, made in artefact.files.items())
    except OSError:
        return False


def is_unharmed(folder: Path) -> bool:
    """Tell whether every file that an artefact's record names still has the very content that it was written with.

    All of it is read, which takes a while; `is_whole` looks at sizes alone.
    """
    artefact = read_artefact(folder)
    if artefact is None or not is_whole(folder):
        return False
    try:
        return all(made_file(folder / name) == made for name, made in artefact.files.items())
    except OSError:
        return False


def made_file(path: Path) -> MadeFile:
    """Measure and hash a file. Raises: OSError."""
    with path.open("rb") as file:
        return MadeFile(bytes=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def aside_of(place: Path) -> Path:
    """Name the folder in which a place's content is made."""
    return place.with_name(f".{place.name}.part")


def discard(place: Path) -> None:
    """Remove what an unfinished making left aside."""
    shutil.rmtree(aside_of(place), ignore_errors=True)


def _force(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
