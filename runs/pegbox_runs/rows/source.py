"""Which files a source of rows consists of: one file, a folder of them, or a data set of the Hub."""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pegbox_methods.home import user_path
from pegbox_methods.hub_name import PACKED_SUFFIXES, ROWS_SUFFIXES, is_hub_id
from pegbox_methods.recipe import RowSource
from pegbox_methods.refusal import Refusal, did_you_mean
from pegbox_runs.printable import printable
from pegbox_runs.rows.place import Rejected

ACCEPTED = f"{', '.join(ROWS_SUFFIXES)}, each also as .gz or .zst"
FILES_LOOKED_AT = 100_000
"""In one folder; more is somebody's home, not a data set."""
SIDE_FILES = ("dataset_info.json", "state.json", "dataset_dict.json")
"""What `datasets` puts beside its Arrow files. Source: save_to_disk in datasets/arrow_dataset.py."""


class Kind(NamedTuple):
    """What a file's name says it is."""

    form: str
    """One of ROWS_SUFFIXES; empty: no rows."""
    packing: str
    """`.gz`, `.zst` or empty."""


@dataclass(frozen=True)
class Source:
    """The files of a source, in the order in which they are read."""

    asked: str
    """As the recipe names it."""
    folder: Path
    """Places are told relative to it."""
    files: tuple[Path, ...]
    problems: tuple[Rejected, ...] = ()
    """Parts that can't be read."""
    others: tuple[str, ...] = ()
    """Files of the folder that are no rows, relative to it."""
    one_file: bool = False

    @property
    def bytes(self) -> int:
        """Sum up the files as they lie on the disk, packed ones packed."""
        return sum(path.stat().st_size for path in self.files)

    def name_of(self, path: Path) -> str:
        """Name a file as places do."""
        return path.relative_to(self.folder).as_posix()

    def sha256(self) -> str:
        """Hash one file's bytes; of a folder the names and contents of its files of rows.

        Raises: Refusal: a file can't be read.
        """
        digests = [_fingerprint(path) for path in self.files]
        if self.one_file:
            return digests[0]
        whole = hashlib.sha256()
        for path, digest in zip(self.files, digests, strict=True):
            whole.update(f"{self.name_of(path)}\0{digest}\0".encode())
        return whole.hexdigest()


def kind_of(name: str) -> Kind:
    """Read what a file is off its name."""
    name = name.lower()
    packing = next((suffix for suffix in PACKED_SUFFIXES if name.endswith(suffix)), "")
    form = next((suffix for suffix in ROWS_SUFFIXES if name.removesuffix(packing).endswith(suffix)), "")
    return Kind(form, packing)


def find_source(asked: RowSource) -> Source:
    """Find the files that a recipe means. A data set of the Hub is fetched unless it is here already.

    Raises: Refusal: there is no such file, folder or data set, or there are no rows in it.
    """
    path = user_path(asked.file)
    try:
        if path.is_dir():
            return _folder(asked, path)
        if path.is_file():
            return _one_file(asked, path)
        if path.exists():
            raise Refusal(f"{_shown(path)}: is a pipe or a device. Save its rows into a file first.")
        broken = path.is_symlink()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise Refusal(f"{_shown(path)}: can't read the rows: {_said(error)}.") from None
    if broken:
        raise Refusal(f"{_shown(path)}: is a link to {_shown(path.readlink())}, which isn't there.")
    if is_hub_id(asked.file):
        from pegbox_runs.rows.hub import hub_rows

        return _folder(asked, hub_rows(asked))
    raise Refusal(f"{_shown(path)}: there is no such file or folder of rows.{_hint(path)}")


def _one_file(asked: RowSource, path: Path) -> Source:
    _refuse_kind(path)
    if not _encodable(path.name):
        raise Refusal(f"{_shown(path)}: the file's name isn't UTF-8. Rename it.")
    path.open("rb").close()  # so that a file which mayn't be read is told at once
    return Source(asked.file, path.parent, (path,), one_file=True)


def _refuse_kind(path: Path) -> None:
    if not kind_of(path.name).form:
        raise Refusal(f"{_shown(path)}: rows of kind {path.suffix or 'no suffix'!r}; accepted are {ACCEPTED}.")


def _hint(path: Path) -> str:
    try:
        beside = [entry.name for entry in path.parent.iterdir() if kind_of(entry.name).form]
    except OSError:
        return ""
    if not beside:
        return ""
    hint = printable(did_you_mean(path.name, beside[:1000]))
    return f" {hint[0].upper()}{hint[1:]}" + ("" if hint.endswith("?") else ".")


def _folder(asked: RowSource, folder: Path) -> Source:
    """Take a folder's files of rows; of a folder that holds a DatasetDict the asked split."""
    if (folder / "dataset_dict.json").is_file():
        folder = _split_folder(folder, asked.hub_split)
    walk = _Walk(folder)
    walk.go()
    if not walk.files:
        seen = [problem.where + ": " + problem.reason for problem in walk.problems] or walk.others
        besides = f" In it: {printable(', '.join(sorted(seen)[:5]))}." if seen else ""
        raise Refusal(f"{_shown(folder)}: the folder holds no file of rows ({ACCEPTED}).{besides}")
    return Source(asked.file, folder, tuple(walk.files), tuple(walk.problems), tuple(sorted(walk.others)))


def _split_folder(folder: Path, split: str) -> Path:
    """Find one split, so that a data set's own test rows are never trained on. Raises: Refusal."""
    splits = sorted(entry.name for entry in folder.iterdir() if (entry / "dataset_info.json").is_file())
    if split not in splits:
        raise Refusal(
            f"{_shown(folder)}: the data set has no split {split!r}; it has {printable(', '.join(splits))}. Set "
            "hub_split, or name the split's own folder."
        )
    return folder / split


class _Walk:
    """One way through a folder and all below it, links followed, nothing taken twice."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen: set[tuple[int, int]] = set()
        self._looked_at = 0
        self.files: list[Path] = []
        self.problems: list[Rejected] = []
        self.others: list[str] = []

    def go(self) -> None:
        """Look at everything, sorted by relative name. Raises: Refusal: there are too many files."""
        try:
            facts = self._root.stat()
            self._below(self._root, ((facts.st_dev, facts.st_ino),))
        except RecursionError:
            raise Refusal(f"{_shown(self._root)}: holds folders too deep within each other.") from None
        self.files.sort(key=lambda path: path.relative_to(self._root).as_posix())

    def _below(self, folder: Path, above: tuple[tuple[int, int], ...]) -> None:
        """Look into a folder; `above` are the device and inode of itself and of those it lies in."""
        self._seen.add(above[-1])
        try:
            entries = sorted(folder.iterdir())
        except OSError as error:
            self._problem(folder, f"the folder can't be read: {_said(error)}")
            return
        with_arrow = any(kind_of(entry.name).form == ".arrow" for entry in entries)
        for entry in entries:
            if not entry.name.startswith("."):
                self._entry(entry, above, with_arrow=with_arrow)

    def _entry(self, entry: Path, above: tuple[tuple[int, int], ...], *, with_arrow: bool) -> None:
        self._looked_at += 1
        if self._looked_at > FILES_LOOKED_AT:
            raise Refusal(f"{_shown(self._root)}: holds more than {FILES_LOOKED_AT:,} files; name a folder of rows.")
        try:
            facts = entry.stat()
        except OSError as error:
            broken = entry.is_symlink() and isinstance(error, FileNotFoundError)
            self._problem(entry, "is a link to a file that isn't there" if broken else f"can't be read: {_said(error)}")
            return
        identity = facts.st_dev, facts.st_ino
        if stat.S_ISDIR(facts.st_mode):
            if identity in above:
                self._problem(entry, "is a link back to a folder that it lies in, which would go round for ever")
            elif identity not in self._seen:
                self._below(entry, (*above, identity))
            return
        if not kind_of(entry.name).form or (with_arrow and entry.name in SIDE_FILES):
            self.others.append(self._name(entry))
        elif not stat.S_ISREG(facts.st_mode):
            self._problem(entry, "is no file, but a pipe or a device")
        elif not _encodable(self._name(entry)):
            self._problem(entry, "has a name that isn't UTF-8; rename it")
        elif identity not in self._seen:
            self._seen.add(identity)
            self.files.append(entry)

    def _name(self, entry: Path) -> str:
        return entry.relative_to(self._root).as_posix()

    def _problem(self, entry: Path, reason: str) -> None:
        name = self._name(entry) if entry != self._root else entry.name
        self.problems.append(Rejected(printable(name), None, "line", (), reason))


def _fingerprint(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Refusal(f"{_shown(path)}: can't read the rows: {_said(error)}.") from None


def _encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _said(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _shown(path: Path) -> str:
    return printable(str(path))
