"""Removing a run with all that lies in its folder, unless somebody carries it."""

from __future__ import annotations

import contextlib
import errno
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pegbox_methods.refusal import Refusal
from pegbox_runs.checkpoints import tree_bytes
from pegbox_runs.listing import Outline
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision.owner import Ownership, owned_already, read_owner
from pegbox_runs.viewing import mark_lost

ASIDE = ".removing-"
"""What a folder is called while it is being removed: no list shows names that begin with a dot."""
FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True)
class Holdings:
    """What goes with a run."""

    bytes: int
    """On disk, all files together."""
    adapter: bool
    """Whether its result is there."""
    checkpoints: int


def holdings(folder: RunFolder) -> Holdings:
    """Count what a run's folder holds; what can't be looked at isn't counted."""
    return Holdings(
        bytes=tree_bytes(folder.path),
        adapter=folder.adapter.is_dir(),
        checkpoints=sum(1 for path in _inside(folder.checkpoints) if path.name.startswith("checkpoint-")),
    )


def remove_run(folder: RunFolder) -> None:
    """Remove a run. It leaves the list at once and whole; its files go after that.

    Raises: Refusal: somebody carries it, it is no run, or something of it can't be removed: what is left is named.
    """
    _refuse_strange(folder)
    _refuse_carried(folder)
    with _owned(folder):
        aside = folder.path.with_name(f"{ASIDE}{folder.id}-{secrets.token_hex(2)}")
        try:
            folder.path.rename(aside)
        except OSError as error:
            raise Refusal(
                f"{folder.path}: can't be removed: {error.strerror}. Nothing of it was touched; make the folder of "
                "runs writable and try again."
            ) from error
    _remove(aside)
    for left in folder.path.parent.glob(f"{ASIDE}*"):  # of removals that were cut off
        shutil.rmtree(left, ignore_errors=True)


def _refuse_strange(folder: RunFolder) -> None:
    """Keep hands off what Pegbox didn't make."""
    if folder.path.is_symlink():
        raise Refusal(f"{folder.path}: is a link to another place. Remove the link by hand if it shall go.")
    if not folder.recipe.is_file():
        raise Refusal(
            f"{folder.path}: holds no recipe.toml, so it isn't a run of Pegbox, or half of one. Look into it, "
            "and remove it by hand if it shall go."
        )


def _refuse_carried(folder: RunFolder) -> None:
    owner = read_owner(folder)
    if owner is not None and (owner.elsewhere or owner.lives or owner.worker_lives):
        raise owned_already(folder, owner)
    try:
        outline = Outline(folder)
        outline.read()
    except OSError:
        return  # whoever carries a run can read its log
    state = mark_lost(outline.state, folder)
    if not state.over and state.status != "lost":
        raise owned_already(folder, owner)


@contextlib.contextmanager
def _owned(folder: RunFolder) -> Iterator[None]:
    """Keep supervisors from taking the run meanwhile; a full disk, which removing mends, is no obstacle."""
    try:
        ownership = Ownership.take(folder)
    except Refusal as refusal:
        cause = refusal.__cause__
        if not isinstance(cause, OSError):
            raise
        if cause.errno not in FULL:
            raise Refusal(
                f"{folder.path}: can't be removed: {cause.strerror}. Nothing of it was touched; make the folder "
                "writable and try again."
            ) from cause
        yield
        return
    try:
        yield
    finally:
        ownership.release()


def _remove(aside: Path) -> None:
    faults: list[tuple[str, str]] = []

    def note(_: object, path: str, failure: tuple[object, BaseException, object]) -> None:
        reason = failure[1]
        faults.append((path, (isinstance(reason, OSError) and reason.strerror) or str(reason)))

    shutil.rmtree(aside, onerror=note)
    if aside.exists() and faults:
        path, reason = faults[0]
        raise Refusal(
            f"the run is out of the list, but {tree_bytes(aside):,} bytes of it are left in {aside}: "
            f"{Path(path).name} can't be removed ({reason}). Remove that folder by hand."
        )


def _inside(path: Path) -> list[Path]:
    try:
        return list(path.iterdir())
    except OSError:
        return []
