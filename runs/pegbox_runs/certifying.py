"""Asking the worker whether methods are what they claim, and keeping its certificates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

from pegbox_methods.certificate import CHECKS, Certificate, Check, CheckName, write_certificates
from pegbox_methods.home import home
from pegbox_methods.registry import origin_of
from pegbox_runs.jobs import JobFailed, ask_worker

START_SECONDS = 180.0
"""The libraries' imports, from a slow disk."""
ALONE_SECONDS = 300.0
"""A dozen seconds are usual on a free machine."""
TOGETHER_SECONDS = 120.0
"""Of two processes, for each method; a few seconds are usual."""
TOGETHER: tuple[CheckName, ...] = ("processes",)
ALONE: tuple[CheckName, ...] = tuple(name for name in CHECKS if name not in TOGETHER)

Certificates = dict[str, Certificate]


class CertifyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker's job `certify` is asked."""

    names: tuple[str, ...]
    checks: tuple[CheckName, ...]


def certify(names: Sequence[str], tell: Callable[[str], None]) -> Iterator[Certificate]:
    """Try methods, each in a process of its own, so that one that crashes or hangs is told as that.

    `tell` hears what is being done, and what a process printed that ended without an answer. The two processes of the
    last check are started once for all methods, and first: there one that ends the process costs the others that check.
    Raises: Refusal: there is no such method.
    """
    tell(f"training in two processes: {', '.join(names)}")
    together = _ask(names, TOGETHER, 2 * START_SECONDS + TOGETHER_SECONDS * len(names), tell)
    for number, name in enumerate(names, start=1):
        tell(f"certifying {name} ({number} of {len(names)})")
        alone = _ask([name], ALONE, START_SECONDS + ALONE_SECONDS, tell)[name]
        found = {check.name: check for check in (*alone.checks, *together[name].checks)}
        yield msgspec.structs.replace(alone, checks=tuple(found[check] for check in CHECKS))


def record(found: Certificates) -> Path:
    """Keep certificates beside those of other methods. Returns: the file.

    Raises: OSError; ValueError: the file holds something else.
    """
    path = home() / "capabilities.json"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_certificates(found, path)
    return path


def _ask(
    names: Sequence[str], checks: tuple[CheckName, ...], patience_seconds: float, tell: Callable[[str], None]
) -> Certificates:
    asked = CertifyRequest(names=tuple(names), checks=checks)
    try:
        return ask_worker("certify", asked, Certificates, timeout_seconds=patience_seconds)
    except JobFailed as failed:
        if failed.last_words:
            tell(f"The last lines of the worker:\n{failed.last_words}")
        return {name: _unanswered(name, checks, failed.sentence) for name in names}


def _unanswered(name: str, checks: tuple[CheckName, ...], sentence: str) -> Certificate:
    """Say of each check why there is no more to say."""
    return Certificate(
        method=name,
        origin=origin_of(name),
        model="bundled",
        libraries={"pegbox": version("pegbox")},
        checks=tuple(Check(name=check, outcome="failed", detail=sentence) for check in checks),
    )
