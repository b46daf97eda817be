"""Rows in tokens, made once: kept by content, template and settings, and mapped from disk by every run that asks."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pyarrow

from pegbox_methods.home import home
from pegbox_methods.recipe import Recipe, Rows
from pegbox_methods.refusal import Refusal
from pegbox_runs.rows.chat_template import RowRefusal
from pegbox_runs.rows.example import Completion, Conversation, Example
from pegbox_runs.rows.examples import Examples
from pegbox_runs.rows.loading import FoundRows, LoadedRows, load_rows
from pegbox_runs.rows.masking import MaskedRow, mask_rows
from pegbox_runs.rows.row_tokenizer import RowTokenizer
from pegbox_worker.packing import pack
from pegbox_worker.row_tokenizer import FastRowTokenizer
from pegbox_worker.token_rows import RowFacts, TokenRows, WrittenRows, read_token_rows, write_token_rows

FORM = 1
"""Raised whenever the same rows would be prepared otherwise: what was kept in another form isn't taken."""
KEPT_BYTES = 20 * 2**30
"""What prepared rows may take on disk; the longest unused go first."""
QUESTIONS = 100
"""Held-out rows that are kept as they are, for the model to answer; a recipe's samples are at most so many."""

FACTS = "facts.json"
LOCK, HALF_MADE = ".lock", ".part"
TRAINED, HELD_OUT, PACKED = "trained.arrow", "held_out.arrow", "packed.arrow"


class PreparedFacts(msgspec.Struct, frozen=True, kw_only=True):
    """facts.json: what lies beside it. It is written last."""

    trained: RowFacts
    held_out: RowFacts
    bytes: dict[str, int]
    """Size of each file beside this one."""
    questions: tuple[Conversation | Completion, ...]
    remarks: tuple[str, ...]
    """What people should know of how the rows were chosen."""


@dataclass(frozen=True)
class PreparedRows:
    """The rows of a run in tokens."""

    trained: TokenRows
    held_out: TokenRows
    sequences: TokenRows | None
    """The training rows packed; None: it wasn't asked for."""
    questions: tuple[Example, ...]
    remarks: tuple[str, ...]
    kept: bool
    """Whether an earlier run had prepared them."""


Judge = Callable[[WrittenRows, Examples, RowTokenizer, bool], None]
"""Raises Refusal if nobody should train on such rows, or judge by them; told which by the last: whether they train."""


def prepare(recipe: Recipe, found: FoundRows, tokenizer: Any, ends: Set[int], judge: Judge) -> PreparedRows:
    """Take the rows of a run from where an earlier one left them, or make them and leave them there.

    Several processes may ask at once: one makes them, the others wait for it.
    Raises: Refusal: rows can't be read, or `judge` refuses them; nothing is kept then.
    """
    words = FastRowTokenizer(tokenizer, ends)
    folder = home() / "prepared" / _key(recipe, found, tokenizer, words.ends)
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(folder.with_suffix(LOCK)):
        facts = _facts(folder)
        kept = facts is not None
        if facts is None:
            facts = _make(folder, recipe, load_rows(recipe, found), words, judge)
            _make_room(folder)
        return PreparedRows(
            trained=read_token_rows(folder / TRAINED, facts.trained),
            held_out=read_token_rows(folder / HELD_OUT, facts.held_out),
            sequences=read_token_rows(folder / PACKED, facts.trained) if PACKED in facts.bytes else None,
            questions=facts.questions,
            remarks=facts.remarks,
            kept=kept,
        )


def _key(recipe: Recipe, found: FoundRows, tokenizer: Any, ends: Set[int]) -> str:
    """Name all that decides what the rows are in tokens, and nothing else: neither method nor path nor date."""
    told = {
        "form": FORM,
        "rows": found.sha256,
        "held_out": found.held_out_sha256,
        "kinds": found.kinds,
        "reading": _without_places(recipe.rows),
        "split": msgspec.structs.replace(recipe.split, file=None),
        "seed": recipe.seeds.split,
        "length": recipe.training.length,
        "packed": recipe.training.order == "packed",
        "tokenizer": hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest(),
        "special": {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
        "template": tokenizer.chat_template,
        "ends": sorted(ends),
    }
    if (questions := _questions_kept(recipe)) > QUESTIONS:
        told["questions"] = questions
    return hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()[:32]


def _without_places(rows: Rows) -> Rows:
    """Leave out where the rows lie; what they are is told by their hash."""
    mixed = tuple(msgspec.structs.replace(source, file="-") for source in rows.mix)
    return msgspec.structs.replace(rows, file="-", mix=mixed)


def _make(folder: Path, recipe: Recipe, rows: LoadedRows, tokenizer: RowTokenizer, judge: Judge) -> PreparedFacts:
    """Write the rows aside and rename the folder, so that it appears whole or not at all."""
    aside = folder.with_suffix(HALF_MADE)
    for former in (aside, folder):
        shutil.rmtree(former, ignore_errors=True)
    aside.mkdir(mode=0o700)
    try:
        length = recipe.training.length
        written = []
        for examples, name in ((rows.trained, TRAINED), (rows.held_out, HELD_OUT)):
            masked = _placed(mask_rows(examples, tokenizer), examples)
            part = write_token_rows(masked, aside / name, length=length, ends=tokenizer.ends)
            judge(part, examples, tokenizer, name == TRAINED)
            written.append(part.facts)
        trained, held_out = written
        if recipe.training.order == "packed":
            pack(read_token_rows(aside / TRAINED, trained), length, recipe.seeds.split, aside / PACKED)
        facts = PreparedFacts(
            trained=trained,
            held_out=held_out,
            bytes={file.name: file.stat().st_size for file in aside.glob("*.arrow")},
            questions=_questions(rows.held_out, _questions_kept(recipe)),
            remarks=rows.remarks,
        )
        (aside / FACTS).write_bytes(msgspec.json.encode(facts))
        _keep(aside)
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return facts


def _placed(rows: Iterator[MaskedRow], examples: Examples) -> Iterator[MaskedRow]:
    """Add to a refusal where its row lies. Raises: Refusal."""
    try:
        yield from rows
    except RowRefusal as refusal:
        if refusal.row is None:
            raise
        raise Refusal(f"{examples.place(refusal.row)}: {refusal.sentence}") from None


def _keep(folder: Path) -> None:
    """See that all is on the disk before the folder gets its name: zeros of the right size are no rows."""
    for path in (*folder.iterdir(), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _questions_kept(recipe: Recipe) -> int:
    """Count the rows to keep: by `answers` alone, not by whether measures are wanted, so that both share their rows."""
    return max(QUESTIONS, recipe.judging.answers if recipe.judging.rows else 0)


def _questions(held_out: Examples, count: int) -> tuple[Conversation | Completion, ...]:
    return tuple(islice((row for row in held_out if isinstance(row, Conversation | Completion)), count))


def _facts(folder: Path) -> PreparedFacts | None:
    """Read what an earlier run left, if it is whole."""
    try:
        os.utime(folder / FACTS)  # from now on nobody takes it for unused
        facts = msgspec.json.decode((folder / FACTS).read_bytes(), type=PreparedFacts)
        whole = all((folder / name).stat().st_size == size for name, size in facts.bytes.items())
        return facts if whole and {TRAINED, HELD_OUT} <= facts.bytes.keys() else None
    except (OSError, msgspec.DecodeError, pyarrow.ArrowException):
        return None


def _make_room(newest: Path) -> None:
    """Remove what killed runs left half made, and the longest unused rows once all of them take too much.

    What another process makes or opens just now is left alone; a run that has its rows open keeps them.
    """
    others = [path for path in newest.parent.iterdir() if path.is_dir() and path != newest]
    for path in others:
        if path.suffix == HALF_MADE:
            _remove(path)
    whole = sorted((path for path in others if path.suffix != HALF_MADE), key=_last_used)
    total = _bytes(newest) + sum(map(_bytes, whole))
    for path in whole:
        if total <= KEPT_BYTES:
            return
        total -= _bytes(path)
        _remove(path)


def _remove(folder: Path) -> None:
    """Remove rows unless somebody is at them."""
    with folder.with_suffix(LOCK).open("w") as file, contextlib.suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)


def _last_used(folder: Path) -> float:
    try:
        return (folder / FACTS).stat().st_mtime
    except OSError:
        return 0.0


def _bytes(folder: Path) -> int:
    try:
        return sum(file.stat().st_size for file in folder.iterdir())
    except OSError:  # another process has just removed it
        return 0


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a lock that ends with the process, however that ends."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
