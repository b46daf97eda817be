"""What probes of real cards taught: one small file for each card, driver and torch, under $PEGBOX_HOME/learned/."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from pegbox_hardware.forecast.memory import Learned
from pegbox_methods.home import home
from pegbox_runs.finding import Finding

MOST_OBSERVATIONS = 200
"""A card's file keeps so many of the newest, one for each model and setting."""

Bytes = Annotated[int, Meta(ge=0, le=2**50)]
Rate = Annotated[float, Meta(gt=0, le=1e12)]


class Observation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one probe taught about a card."""

    when: str
    """In UTC, as 2026-01-31T12:00:00Z."""
    allocated_bytes: Bytes
    reserved_bytes: Bytes | None
    context_bytes: Bytes | None
    tokens_per_second: Rate | None


class CardFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What lies in a file of $PEGBOX_HOME/learned/: one card with one driver and one torch."""

    card: str
    driver: str
    torch: str
    observations: dict[str, Observation]
    """By the setting's hash, the oldest first."""


def learned_root() -> Path:
    """Give the folder of what was learned. It may not exist yet."""
    return home() / "learned"


def now() -> str:
    """Give the time as observations have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def keep(observation: Observation, setting: str, card_name: str, driver: str | None, torch_version: str) -> None:
    """Add an observation to its card's file; one of the same setting is replaced, a broken file written anew.

    Raises: OSError: the place can't be written.
    """
    with _alone():
        observations = dict(_observations(card_name, driver, torch_version))
        observations.pop(setting, None)
        observations[setting] = observation
        newest = dict(list(observations.items())[-MOST_OBSERVATIONS:])
        whole = CardFile(card=card_name, driver=driver or "", torch=torch_version, observations=newest)
        text = msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n"
        _write(_card_file(card_name, driver, torch_version), text)


def learned_for(card_name: str, driver: str | None, torch_version: str) -> Learned | None:
    """Find what was learned about a GPU with this driver and torch; None: nothing yet.

    `torch_version` is the installed distribution's. The context is the largest seen, because more kernels were loaded
    then; the ratio is weighted by bytes, because the allocator's rounding makes that of a small run meaningless.
    """
    known = [seen for seen in _observations(card_name, driver, torch_version).values() if seen.reserved_bytes]
    contexts = [seen.context_bytes for seen in known if seen.context_bytes is not None]
    allocated = sum(seen.allocated_bytes for seen in known)
    if not contexts or not allocated:
        return None
    reserved = sum(seen.reserved_bytes or 0 for seen in known)
    return Learned(context_bytes=max(contexts), reserved_ratio=reserved / allocated)


def torch_version() -> str | None:
    """Give the installed torch's version, by which what was learned is kept; None: there is none."""
    try:
        return version("torch")
    except PackageNotFoundError:
        return None


def learned_tokens_per_second(setting: str, card_name: str, driver: str | None, torch_version: str) -> float | None:
    """Find the measured rate of a setting (`setting_of`), at rows of full length; a CPU goes by its name, no driver."""
    seen = _observations(card_name, driver, torch_version).get(setting)
    return None if seen is None else seen.tokens_per_second


def learned_findings() -> tuple[Finding, ...]:
    """Tell which files of what was learned can't be read; they are passed over."""
    broken = [(path, _read(path)) for path in sorted(learned_root().glob("*.json"))]
    return tuple(
        Finding(
            level="yellow",
            about="learned",
            text=f"what was measured on a card is passed over: {path}: {known}. The next measurement writes it anew.",
        )
        for path, known in broken
        if isinstance(known, str)
    )


@contextmanager
def _alone() -> Iterator[None]:
    """Keep other measurements from writing between this one's reading and writing; POSIX only.

    The lock lies beside the folder, so that the folder holds nothing but what was learned.
    Raises: OSError: the place can't be written.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    root = learned_root()
    root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with root.with_name("learned.lock").open("ab") as lock:
        with suppress(OSError):  # a file system without locks: as good as it can be
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _observations(card_name: str, driver: str | None, torch_version: str) -> dict[str, Observation]:
    known = _read(_card_file(card_name, driver, torch_version))
    same = isinstance(known, CardFile) and (known.card, known.driver, known.torch) == (
        card_name,
        driver or "",
        torch_version,
    )
    return known.observations if isinstance(known, CardFile) and same else {}


def _card_file(card_name: str, driver: str | None, torch_version: str) -> Path:
    """Name a card's file, so that a person knows it and no two cards share one."""
    whole = "\n".join((card_name, driver or "", torch_version))
    spoken = re.sub(r"[^a-z0-9]+", "-", card_name.lower())[:40].strip("-") or "card"
    return learned_root() / f"{spoken}-{hashlib.sha256(whole.encode()).hexdigest()[:12]}.json"


def _read(path: Path) -> CardFile | str | None:
    """Read a card's file. Returns: None if there is none; why it can't be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=CardFile)
    except FileNotFoundError:
        return None
    except OSError as error:
        return error.strerror or str(error)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return str(error)


def _write(path: Path, text: bytes) -> None:
    """Write aside and rename, so that a reader sees the old file or the new one.

    Raises: OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)  # 0600, as tempfile makes them
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text)
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
