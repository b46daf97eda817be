"""Data sets of the Hub: fetched once by the worker into Pegbox's own folder, and from then on no network is needed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from glob import escape
from pathlib import Path
from urllib.parse import quote

import msgspec

from pegbox_methods.home import home
from pegbox_methods.recipe import RowSource
from pegbox_methods.refusal import Refusal
from pegbox_runs.jobs import JobFailed, ask_worker
from pegbox_runs.printable import printable

FETCH_SECONDS = 24 * 3600.0
NOTE = ".fetched.json"
"""Beside the rows: what was fetched, and at which commit. Hidden, so that it is never taken for rows."""


class FetchRows(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows the worker is to fetch."""

    name: str
    """The data set's id on the Hub."""
    subset: str | None
    """None: the only one, or the one that its author made the default."""
    split: str
    revision: str | None
    limit: int | None
    """So many rows from the top; None: all."""
    folder: str
    """An empty folder, into which they are written as Parquet files."""


class FetchedRows(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker fetched."""

    name: str
    subset: str
    split: str
    commit: str
    """To which the revision pointed at that time."""
    rows: int


Fetch = Callable[[FetchRows], FetchedRows]


def hub_rows(asked: RowSource, *, fetch: Fetch | None = None) -> Path:
    """Give the folder that holds a data set's rows as Parquet, fetched if it isn't there yet.

    It lies at $PEGBOX_HOME/rows/hub/ORG--NAME/REVISION/SUBSET/SPLIT and is there whole or not at all. A revision that
    is a branch keeps the commit that it had when it was fetched; remove the folder to fetch it anew.
    Raises: Refusal: it can't be fetched.
    """
    if (here := hub_rows_here(asked)) is not None:
        return here
    folder = _places(asked)[-1]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder.parent) as aside:
            rows = Path(aside) / "rows"
            rows.mkdir()
            fetched = (fetch or _by_worker)(
                FetchRows(
                    name=asked.file,
                    subset=asked.hub_subset,
                    split=asked.hub_split,
                    revision=asked.revision,
                    limit=asked.limit,
                    folder=str(rows),
                )
            )
            (rows / NOTE).write_bytes(msgspec.json.format(msgspec.json.encode(fetched)))
            _put(rows, folder)
    except OSError as error:
        raise Refusal(
            f"{asked.file}: can't keep its rows in {printable(str(folder))}: {error.strerror or error}. Make room "
            "there, or name another place with PEGBOX_HOME."
        ) from None
    return folder


def hub_rows_here(asked: RowSource) -> Path | None:
    """Give the folder of a data set's rows if they were fetched before; None: they'd have to be."""
    places = _places(asked)
    found = next((here for here in places if (here / NOTE).is_file()), None)
    return _fetched_under_another_name(asked, places) if found is None else found


def _places(asked: RowSource) -> tuple[Path, ...]:
    """Give the folders that may hold the rows asked for: all of the split, and last the very rows asked for."""
    whole = _folder(asked, asked.hub_split)
    return (whole,) if asked.limit is None else (whole, _folder(asked, f"{asked.hub_split}.first-{asked.limit}"))


def commit_of(folder: Path) -> str | None:
    """Give the commit that a folder's rows were fetched at; None: they aren't from the Hub."""
    try:
        return msgspec.json.decode((folder / NOTE).read_bytes(), type=FetchedRows).commit
    except (OSError, msgspec.DecodeError):
        return None


def _fetched_under_another_name(asked: RowSource, wanted: tuple[Path, ...]) -> Path | None:
    """Find the rows of a commit where they were fetched under a branch's name."""
    for path in wanted:
        subset, split = path.parts[-2:]
        for note in sorted(path.parents[2].glob(f"*/{escape(subset)}/{escape(split)}/{NOTE}")):
            if asked.revision is not None and commit_of(note.parent) == asked.revision:
                return note.parent
    return None


def _folder(asked: RowSource, split: str) -> Path:
    parts = (asked.file.replace("/", "--"), asked.revision or "main", asked.hub_subset or "only", split)
    return home().joinpath("rows", "hub", *map(_file_name, parts))


def _file_name(text: str) -> str:
    """Write any text as the name of one folder, so that none leads out of it."""
    name = quote(text, safe=" ")
    return f"%2E{name[1:]}" if name.startswith(".") else name


def _put(rows: Path, folder: Path) -> None:
    try:
        rows.rename(folder)
    except OSError:
        if not (folder / NOTE).is_file():  # else somebody else fetched the same meanwhile
            raise


def _by_worker(asked: FetchRows) -> FetchedRows:
    try:
        return ask_worker("fetch-rows", asked, FetchedRows, timeout_seconds=FETCH_SECONDS)
    except JobFailed as failed:
        if failed.told and failed.sentence.startswith(asked.name):  # a Refusal of the job's
            raise Refusal(failed.sentence) from None
        last = f" The worker's last words:\n{failed.log_tail}" if failed.log_tail else ""
        raise Refusal(f"{asked.name}: its rows can't be fetched from the Hub: {failed.sentence}.{last}") from None
