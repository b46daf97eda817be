"""Making an artefact's folder: whole or not at all, taken up where it was broken off, nothing overwritten."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
        self._note(name, path)
        return path

    def adopt(self) -> None:
        """Take every file that lies in the folder as whole, for writers that make several at once."""
        for path in sorted(self.folder.rglob("*")):
            name = str(path.relative_to(self.folder))
            if path.is_file() and name not in (*self._files, DONE, LOCK, ARTEFACT):
                _force(path)
                self._note(name, path)

    def finish(self) -> Path:
        """Give the folder its name; its record must be written by then. Raises: OSError."""
        (self.folder / DONE).unlink(missing_ok=True)
        (self.folder / LOCK).unlink(missing_ok=True)
        self.folder.rename(self.place)
        return self.place

    def _note(self, name: str, path: Path) -> None:
        self._files[name] = made_file(path)
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
        if found is not None and found.order == order and is_whole(place):
            yield Made(place)
            return
        what = "something else" if found is None else f"another export, of the run {found.run}"
        if found is not None and found.order == order:
            what = "this very export, but files of it are damaged or gone"
        raise Refusal(
            f"{printable(str(place))}: {what} lies there, and nothing is overwritten. Remove it, or name another place "
            "with --output."
        )
    begun = Making(place, order)
    try:
        begun.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(
            f"{printable(str(place))}: can't be made: {error.strerror}. Name another with --output."
        ) from error
    with (begun.folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refusal(f"{printable(str(place))}: another process is making it right now. Wait for it.") from None
        begun._take_up()
        try:
            yield begun
        except BaseException:
            if not begun.files:
                discard(place)
            raise


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
