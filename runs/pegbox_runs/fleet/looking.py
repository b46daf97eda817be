"""Whether a node of a cluster could carry entries: its versions, and whether it sees what this machine does.

`python -P -m pegbox_runs.fleet.looking TOKENFILE PLACE...` looks, on a node, and prints a line of JSON. A token proves
that both look at the same disk: this machine writes it, the node reads it and writes it back beside it.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version

import msgspec

from pegbox_methods.refusal import Refusal
from pegbox_runs.environment import installed_libraries
from pegbox_runs.printable import one_line

MOST_TOLD = 4
SILENT_ON = frozenset({"bitsandbytes"})
"""Libraries that a node may have in another version, or not at all, where no entry needs them."""


class NodeLook(msgspec.Struct, frozen=True, kw_only=True):
    """What one node found."""

    host: str
    python: str
    versions: dict[str, str | None]
    """Of Pegbox and its libraries; None: it isn't installed."""
    token: str
    """As it was read; empty: it wasn't there."""
    unseen: tuple[str, ...] = ()
    """Places that aren't there, or are others than here."""
    unwritable: str = ""
    """Why nothing could be written beside the token; empty: it could."""


@dataclass(frozen=True)
class Asking:
    """A look that nodes are asked for. `with` removes its folder."""

    folder: Path
    token: str
    places: tuple[str, ...]
    """With the size of each that is a file, as `SIZE:PATH`; else `:PATH`."""

    @property
    def arguments(self) -> list[str]:
        """Give what `look` takes, in words."""
        return [str(self.folder / "token"), *self.places]

    @property
    def command(self) -> list[str]:
        """Give the command line that looks, for no shell."""
        return [sys.executable, "-P", "-m", __spec__.name, *self.arguments]

    def __enter__(self) -> Asking:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def begin_look(places: Sequence[Path]) -> Asking:
    """Write a token into the first place. `places`: the first is a folder to be written to.

    Raises: Refusal: it can't be written here.
    """
    folder = places[0] / f".look-{secrets.token_hex(4)}"
    token = secrets.token_hex(16)
    try:
        folder.mkdir(mode=0o700, parents=True)
        (folder / "token").write_text(token)
    except OSError as error:
        raise Refusal(
            f"{places[0]}: can't be written: {error.strerror}. Name another place with PEGBOX_HOME."
        ) from None
    return Asking(folder, token, tuple(f"{_size(place)}:{place}" for place in places))


def look(arguments: Sequence[str]) -> NodeLook:
    """Look from a node. `arguments`: as `Asking.arguments` gives them."""
    file = Path(arguments[0])
    token, unwritable = "", ""
    try:
        token = file.read_text()
        (file.parent / f"{socket.gethostname()}-{secrets.token_hex(4)}.back").write_text(token)
    except OSError as error:
        unwritable = error.strerror or str(error)
    return NodeLook(
        host=socket.gethostname(),
        python=python_version(),
        versions=versions_here(),
        token=token,
        unseen=tuple(place for size, _, place in (one.partition(":") for one in arguments[1:]) if _other(place, size)),
        unwritable=unwritable,
    )


def versions_here() -> dict[str, str | None]:
    """Read what must be alike on all nodes."""
    try:
        pegbox = version("pegbox")
    except PackageNotFoundError:
        pegbox = None
    return {"pegbox": pegbox, **installed_libraries()}


def read_look(line: str | bytes) -> NodeLook:
    """Read what a node printed. Raises: msgspec.MsgspecError: it is something else."""
    return msgspec.json.decode(line, type=NodeLook)


def refuse_looks(asking: Asking, looks: Iterable[NodeLook]) -> None:
    """Say which node couldn't carry an entry, and why. Raises: Refusal: with each node in a line."""
    answers = {_text(path) for path in asking.folder.glob("*.back")}
    told = []
    for one in looks:
        said = _fault_of(one, asking, heard=asking.token in answers)
        if said:
            told.append(f"{one_line(one.host, 80)} {said}")
    told = list(dict.fromkeys(told))
    if told:
        more = f"\n{len(told) - MOST_TOLD} more nodes can't either." if len(told) > MOST_TOLD else ""
        raise Refusal("\n".join(told[:MOST_TOLD]) + more)


def _fault_of(one: NodeLook, asking: Asking, *, heard: bool) -> str:
    here = versions_here()
    unlike = [name for name in here if name not in SILENT_ON and one.versions.get(name) != here[name]]
    if one.python.rpartition(".")[0] != python_version().rpartition(".")[0]:
        return f"has Python {one_line(one.python, 20)}, this machine {python_version()}: install the same on both."
    if unlike:
        pairs = ", ".join(f"{name} {one_line(str(one.versions.get(name)), 40)} (here {here[name]})" for name in unlike)
        return f"has other versions: {pairs}. Results of unlike versions can't be compared: install the same on both."
    root = asking.folder.parent
    if one.token != asking.token:
        return (
            f"doesn't see {root}: every node must see the same disk under the same path. Name such a place with "
            "PEGBOX_HOME."
        )
    if one.unwritable or not heard:
        why = f": {one_line(one.unwritable, 80)}" if one.unwritable else ", or what it writes isn't seen here"
        return f"can't write to {root}{why}. Every node must read and write there."
    if one.unseen:
        places = ", ".join(one_line(place, 200) for place in one.unseen[:MOST_TOLD])
        return f"doesn't see {places}, or sees another file there. Put rows and model on a disk that every node sees."
    return ""


def _size(place: Path) -> str:
    """Give a file's size in words; empty for a folder, and for what isn't there."""
    try:
        return str(place.stat().st_size) if place.is_file() else ""
    except OSError:
        return ""


def _other(place: str, size: str) -> bool:
    path = Path(place)
    return not path.exists() or _size(path) != size


def _text(path: Path) -> str:
    with contextlib.suppress(OSError, UnicodeError):
        return path.read_text()
    return ""


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(look(sys.argv[1:])) + b"\n")
