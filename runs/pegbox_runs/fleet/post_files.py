"""What a director and a post on a node tell each other: two small files in the entry's folder, each with one writer.

They are read anew by name each time, which is what a network file system promises to keep true.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Literal

import msgspec

from pegbox_methods.events import UNDECODABLE
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.whole_file import write_new, write_whole

PLACE = "place"
"""What the notice is about by which a post tells in the run's log that its worker waits no more."""
BEAT_SECONDS = 1.0
"""Between two beats of a post."""
SILENT_SECONDS = 20.0
"""A post whose beat stood still for so long, by its reader's own clock, isn't there any more."""


class PostWanted(msgspec.Struct, frozen=True, kw_only=True):
    """post-wanted.json, written by the director: which post the entry shall have, and what it shall do."""

    ticket: str
    """A post with another one has been superseded, and ends with its worker."""
    home: str
    """The worker's PEGBOX_HOME."""
    on: str
    """The cluster, as `--on` names it."""
    job: str | None = None
    """The cluster's id of it; None: it wasn't submitted yet."""
    signal: Literal["SIGTERM", "SIGKILL"] | None = None
    """What the worker shall get."""


class PostRecord(msgspec.Struct, frozen=True, kw_only=True):
    """post-TICKET.json, written by the post each second."""

    ticket: str
    host: str
    pid: int
    beat: int
    """Counts up."""
    worker_pid: int | None = None
    """On that host."""
    ended: bool = False
    """Whether the worker is gone; what follows tells how."""
    exit_code: int | None = None
    signal: str | None = None
    oom_killer: bool | None = None
    """As `WorkerEnded.oom_killer`."""
    evidence: str = ""
    """What says so, or why the post ended its worker."""


def wanted_file(folder: RunFolder) -> Path:
    """Name the director's file."""
    return folder.path / "post-wanted.json"


def record_file(folder: RunFolder, ticket: str) -> Path:
    """Name a post's file; no other post ever writes there."""
    return folder.path / f"post-{ticket}.json"


def write_wanted(folder: RunFolder, wanted: PostWanted) -> None:
    """Write what is wanted. Raises: OSError."""
    write_whole(wanted_file(folder), msgspec.json.encode(wanted))


def write_record(folder: RunFolder, record: PostRecord) -> None:
    """Write what a post says. Raises: OSError."""
    write_whole(record_file(folder, record.ticket), msgspec.json.encode(record))


def claim_record(folder: RunFolder, record: PostRecord) -> None:
    """Write the first word of a post. Raises: FileExistsError: one with the same ticket was here. OSError."""
    write_new(record_file(folder, record.ticket), msgspec.json.encode(record))


def sweep_records(folder: RunFolder, ticket: str) -> None:
    """Remove what other posts said than the one of this ticket."""
    for file in folder.path.glob("post-*.json"):
        if file not in (wanted_file(folder), record_file(folder, ticket)):
            with contextlib.suppress(OSError):
                file.unlink()


def read_wanted(folder: RunFolder) -> PostWanted | None:
    """Read what is wanted; None: it isn't there, or can't be read just now."""
    try:
        return msgspec.json.decode(wanted_file(folder).read_bytes(), type=PostWanted)
    except (OSError, *UNDECODABLE):
        return None


def read_record(folder: RunFolder, ticket: str) -> PostRecord | None:
    """Read what the post of that ticket says; None: it said nothing yet, or it can't be read just now."""
    return read_record_at(str(record_file(folder, ticket)))


def read_record_at(file: str) -> PostRecord | None:
    """Do the same with the file's name; who asks a thousand posts each second makes each name once."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _RECORD.decode(os.read(handle, os.fstat(handle).st_size))
    except (OSError, *UNDECODABLE):
        return None
    finally:
        os.close(handle)


_RECORD = msgspec.json.Decoder(PostRecord)
