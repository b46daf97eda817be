"""The job `fetch-rows`: the rows of a data set of the Hub, written as Parquet files. No code of its own is run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import datasets
import msgspec
import pyarrow
from datasets.exceptions import DataFilesNotFoundError, DatasetNotFoundError
from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from pyarrow import parquet

from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import one_line
from pegbox_runs.rows.hub import FetchedRows, FetchRows
from pegbox_worker.jobs.contact import Contact

SMALL_BYTES = 1024**3
"""A split up to this size is fetched through the cache of `datasets`, which is faster; a larger one is streamed."""
BATCH_ROWS = 1000
HUB_SECONDS = 30.0


def run(request: bytes, _contact: Contact) -> FetchedRows:
    """Answer a FetchRows in JSON.

    Raises: Refusal: the data set, its revision, subset or split isn't there, may not be read, or can't be.
    """
    asked = msgspec.json.decode(request, type=FetchRows)
    datasets.disable_progress_bars()
    with _told(asked):
        commit = commit_of(asked.name, asked.revision)
        builder = _builder(asked, commit)
        rows = _write(_batches(asked, builder, commit), Path(asked.folder))
        if not rows:
            raise Refusal(f"{asked.name}: the split {asked.split!r} holds no rows.")
    return FetchedRows(name=asked.name, subset=builder.config.name, split=asked.split, commit=commit, rows=rows)


def commit_of(name: str, revision: str | None) -> str:
    """Ask the Hub to which commit a branch or tag points, so that all of the rows come from one."""
    return str(HfApi().dataset_info(name, revision=revision, timeout=HUB_SECONDS).sha)


class _Batched(Protocol):
    """What of a table of `datasets`, streamed or not, is used."""

    def with_format(self, form: str) -> Any:
        """Give the same rows in another form."""


def _builder(asked: FetchRows, commit: str) -> datasets.DatasetBuilder:
    try:
        return datasets.load_dataset_builder(asked.name, asked.subset, revision=commit)
    except ValueError:
        names = datasets.get_dataset_config_names(asked.name, revision=commit)
        if asked.subset in names or (asked.subset is None and len(names) < 2):
            raise
    lacking = "several subsets" if asked.subset is None else f"no subset {asked.subset!r}"
    raise Refusal(f"{asked.name}: the data set has {lacking}; set hub_subset to one of: {_listed(names)}.")


def _batches(asked: FetchRows, builder: datasets.DatasetBuilder, commit: str) -> Iterator[pyarrow.Table]:
    """Give the rows a thousand at a time. Raises: Refusal: there is no such split."""
    known = builder.info.splits or {}
    if known and asked.split not in known:
        raise _no_split(asked, known)
    size = known[asked.split].num_bytes if known else None
    chosen: _Batched
    if size and size <= SMALL_BYTES and asked.limit is None:
        chosen = datasets.load_dataset(asked.name, asked.subset, revision=commit, split=asked.split)
    else:
        streams = datasets.load_dataset(asked.name, asked.subset, revision=commit, streaming=True)
        if asked.split not in streams:
            raise _no_split(asked, streams)
        chosen = streams[asked.split] if asked.limit is None else streams[asked.split].take(asked.limit)
    # Not `to_parquet`, which loads a whole stream into memory.
    yield from chosen.with_format("arrow").iter(batch_size=BATCH_ROWS)


def _write(batches: Iterator[pyarrow.Table], folder: Path) -> int:
    """Write rows, into one more file wherever their columns change. Returns: how many."""
    rows, files = 0, 0
    writer: parquet.ParquetWriter | None = None
    try:
        for batch in batches:
            if writer is None or batch.schema != writer.schema:
                if writer is not None:
                    writer.close()
                writer = parquet.ParquetWriter(folder / f"rows-{files:06d}.parquet", batch.schema, compression="zstd")
                files += 1
            writer.write_table(batch)
            rows += batch.num_rows
    finally:
        if writer is not None:
            writer.close()
    return rows


def _no_split(asked: FetchRows, known: Any) -> Refusal:
    return Refusal(
        f"{asked.name}: the data set has no split {one_line(asked.split, 60)!r}; set hub_split to one of: "
        f"{_listed(list(known))}."
    )


@contextmanager
def _told(asked: FetchRows) -> Iterator[None]:
    """Turn what the libraries raise into one sentence. Raises: Refusal."""
    name = asked.name
    try:
        yield
    except (Refusal, MemoryError):
        raise
    except Exception as error:
        raise Refusal(f"{name}: {_why(error, asked)}") from error


def _why(error: Exception, asked: FetchRows) -> str:
    if isinstance(error, GatedRepoError) or "is a gated dataset" in str(error):
        return (
            "the Hub asks for your consent and login. Accept its terms on the data set's page, then run "
            "`hf auth login`."
        )
    if isinstance(error, RevisionNotFoundError) or (
        "Revision" in str(error) and isinstance(error, DatasetNotFoundError)
    ):
        return f"the data set has no revision {one_line(str(asked.revision), 60)!r}. Name a branch, a tag or a commit."
    if isinstance(error, RepositoryNotFoundError | DatasetNotFoundError):
        return (
            "neither a file or folder here, nor a data set on the Hub. Mend the name; if the data set is private, run "
            "`hf auth login` first."
        )
    if isinstance(error, DataFilesNotFoundError):
        return "the data set holds no file that can be read as rows."
    if isinstance(error, RuntimeError) and "scripts are no longer supported" in str(error):
        return "the data set is made by a program of its own, which isn't run. Save its rows as JSONL or Parquet."
    if _no_network(error):
        return (
            f"neither a file or folder here, nor fetched before, and the Hub can't be reached "
            f"({type(error).__name__}). Give a file, or try again with a network."
        )
    first = (str(error).strip().splitlines() or [""])[0]
    return f"its rows can't be read: {type(error).__name__}: {one_line(first, 300)}."


def _no_network(error: BaseException | None) -> bool:
    """Tell whether the Hub wasn't reached, at whatever depth that is hidden.

    The HTTP library's own classes are no OSErrors, and which library it is depends on huggingface_hub's version.
    """
    while error is not None:
        if isinstance(error, ConnectionError | TimeoutError | HfHubHTTPError):
            return True
        if any(kind.__name__ == "TransportError" for kind in type(error).__mro__):
            return True
        error = error.__cause__ or error.__context__
    return False


def _listed(names: list[str]) -> str:
    return one_line(", ".join(names), 500) or "none"
