"""Packing a run into a capsule: the same run gives the same bytes, and nothing private goes along unasked."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec

from pegbox_methods.events import (
    AnyEvent,
    Checkpoint,
    Evaluation,
    Failed,
    Finished,
    Prepared,
    Ranks,
    Replanned,
    Resumed,
    Step,
    event_encoder,
)
from pegbox_methods.home import user_path
from pegbox_methods.recipe_file import portable
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import MadeFile
from pegbox_runs.artefacts.making import made_file
from pegbox_runs.artefacts.room import refuse_too_little_room
from pegbox_runs.capsule import contents as names
from pegbox_runs.capsule.contents import Contents, PackedSource
from pegbox_runs.capsule.lock import constraints
from pegbox_runs.capsule.readme import readme
from pegbox_runs.changes import current_recipe
from pegbox_runs.event_log import EventReader
from pegbox_runs.judging.judged import JUDGED
from pegbox_runs.printable import printable
from pegbox_runs.rows.loading import FoundSource, find_rows
from pegbox_runs.secrets import clean
from pegbox_runs.tuned import TunedRun
from pegbox_runs.viewing import summary_of
from pegbox_runs.whole_file import begun_aside, put_new

QUIET = (Prepared, Step, Evaluation, Checkpoint, Ranks, Replanned, Resumed, Finished, Failed)
"""Events that hold figures and settings alone; others may quote rows, or say who and where."""
MADE_AT = (1980, 1, 1, 0, 0, 0)
"""The oldest date that a zip can hold, for every member."""
MODE = 0o600 << 16
CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Packing:
    """What would go into a capsule, found before anything is written."""

    contents: Contents
    place: Path
    texts: dict[str, bytes]
    files: dict[str, Path]

    @property
    def bytes(self) -> int:
        """Size of all members together."""
        return sum(member.bytes for member in self.contents.members.values())


def plan_capsule(run: TunedRun, place: Path | None, *, with_rows: bool) -> Packing:
    """Find all that goes into a run's capsule.

    Raises: Refusal: the rows are asked for, and aren't those of the run any more. OSError.
    """
    place = place or run.folder.exports / f"{run.id}{names.ENDING}"
    texts = _texts(run, with_rows=with_rows)
    files = _adapter(run, texts)
    sources, held_out = _rows(run, files) if with_rows else ((), None)
    summary = summary_of(run.folder)
    texts[names.README] = readme(run, {*texts, *files}, with_rows=with_rows).encode()
    members = {name: MadeFile(bytes=len(text), sha256=hashlib.sha256(text).hexdigest()) for name, text in texts.items()}
    members |= {name: made_file(path) for name, path in files.items()}
    contents = Contents(
        pegbox=version("pegbox"),
        run=run.id,
        method=run.recipe.method.name,
        base=portable(current_recipe(run.folder).model.name),  # as it was named, wherever it lies now
        steps=summary.steps,
        status=summary.status,
        sources=sources,
        held_out=held_out,
        members=dict(sorted(members.items())),
    )
    return Packing(contents, place, texts, files)


def write_capsule(packing: Packing) -> bool:
    """Write the file, whole or not at all. Returns: False: the very same lay there already.

    Raises: Refusal: something else lies there, or there is no room. OSError.
    """
    place = packing.place
    place.parent.mkdir(parents=True, exist_ok=True)
    refuse_too_little_room(place, packing.bytes)
    with begun_aside(place) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, strict_timestamps=True) as archive:
            _fill(archive, packing)
        try:
            put_new(file, place)
        except FileExistsError:
            if place.is_file() and made_file(place) == made_file(Path(file.name)):
                return False
            raise Refusal(
                f"{printable(str(place))}: something else lies there, and nothing is overwritten. Remove it, or name "
                "another place with --output."
            ) from None
    return True


def _fill(archive: zipfile.ZipFile, packing: Packing) -> None:
    manifest = msgspec.json.format(msgspec.json.encode(packing.contents), indent=2) + b"\n"
    _add(archive, names.MANIFEST, len(manifest), lambda: iter([manifest]))
    for name, member in packing.contents.members.items():
        if name in packing.texts:
            _add(archive, name, member.bytes, lambda text=packing.texts[name]: iter([text]))  # type: ignore[misc]
        else:
            digest = hashlib.sha256()
            _add(archive, name, member.bytes, lambda path=packing.files[name]: _chunks(path, digest))  # type: ignore[misc]  # noqa: B023
            if digest.hexdigest() != member.sha256:
                raise Refusal(f"{packing.files[name]}: was changed while it was packed. Pack again.")


def _add(archive: zipfile.ZipFile, name: str, size: int, chunks: Callable[[], Iterator[bytes]]) -> None:
    info = zipfile.ZipInfo(name, MADE_AT)
    info.create_system, info.external_attr, info.file_size = 3, MODE, size
    with archive.open(info, "w", force_zip64=size >= 2**31) as member:
        for chunk in chunks():
            member.write(chunk)


def _chunks(path: Path, digest: hashlib._Hash) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            yield chunk


def _texts(run: TunedRun, *, with_rows: bool) -> dict[str, bytes]:
    """Read the run's records, without secrets and the home's path."""
    folder = run.folder
    found = {
        names.RECIPE: folder.recipe,
        names.CHANGES: folder.changes,
        names.ENVIRONMENT: folder.environment,
        names.FORECAST: folder.forecast,
        names.SUMMARY: folder.summary,
        names.JUDGED: folder.path / JUDGED,
    }
    if with_rows:  # they hold answers to held-out questions
        found |= {f"{names.EVALUATIONS}{path.name}": path for path in (folder.path / "evaluations").glob("*.json")}
    texts = {name: clean(path.read_bytes()) for name, path in found.items() if path.is_file()}
    if run.recipe.model.chat_template is not None:
        texts[names.TEMPLATE] = clean(user_path(run.recipe.model.chat_template).read_bytes())
    texts[names.EVENTS] = _events(run, with_rows=with_rows)
    texts[names.CONSTRAINTS] = constraints(run.environment).encode()
    return texts


def _events(run: TunedRun, *, with_rows: bool) -> bytes:
    if with_rows:
        return clean(run.folder.events.read_bytes())
    encoder = event_encoder()
    told: list[AnyEvent] = [
        event for block in EventReader(run.folder.events).new() for event in block if isinstance(event, QUIET)
    ]
    return clean(b"".join(encoder.encode(event) + b"\n" for event in told))


def _adapter(run: TunedRun, texts: dict[str, bytes]) -> dict[str, Path]:
    """Take the adapter's weights as files, and what names places beside them as texts without the home."""
    files = {}
    for path in sorted(run.adapter.rglob("*")):
        name = f"{names.ADAPTER}{path.relative_to(run.adapter).as_posix()}"
        if path.is_symlink() or not path.is_file():
            continue
        if path.suffix in (".json", ".md", ".txt", ".jinja"):
            texts[name] = clean(path.read_bytes())
        else:
            files[name] = path
    return files


def _rows(run: TunedRun, files: dict[str, Path]) -> tuple[tuple[PackedSource, ...], PackedSource | None]:
    """Add the rows' own files. Raises: Refusal: they were changed since."""
    found = find_rows(run.recipe)
    if (found.sha256, found.held_out_sha256) != (run.environment.rows_sha256, run.environment.held_out_sha256):
        raise Refusal(
            f"{portable(run.recipe.rows.file)}: the rows aren't those that {run.id} was trained on any more. Put them "
            "back, or leave --with-rows out."
        )
    sources = tuple(_source(one, f"{names.ROWS}{number}/", files) for number, one in enumerate(found.sources))
    held_out = None if found.held_out is None else _source(found.held_out, f"{names.ROWS}{names.HELD_OUT}/", files)
    return sources, held_out


def _source(found: FoundSource, place: str, files: dict[str, Path]) -> PackedSource:
    source = found.source
    for path in source.files:
        files[f"{place}{source.name_of(path)}"] = path
    return PackedSource(place=place, one_file=source.files[0].name if source.one_file else None)
