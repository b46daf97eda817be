"""What the arena's thread does: follows a comparison to its end, and on where somebody continues it after that."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import msgspec
from textual.message import Message

from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.watching.watch import Watched, await_more, follow_comparison
from pegbox_tui.arena.messages import ComparisonAdvanced, ComparisonUnreadable

TRY_AGAIN_SECONDS = 5.0
"""Between two tries of a folder that can't be read: shorter than the reason is shown, so that it stays."""


def keep_telling(
    folder: ComparisonFolder, left: threading.Event, post: Callable[[Message], object], known: Watched
) -> None:
    """Tell all that happens until nobody looks any more, or it is deleted. `known`: what is shown already."""
    while not left.is_set():
        try:
            for watched in follow_comparison(folder, left):
                if watched.state.deleted and known.comparison is not None:  # what was seen of it stays
                    watched = replace(known, state=watched.state, left=None)
                elif watched.share < 1.0 and known.comparison is not None and known.share == 1.0:
                    continue  # it is read again, and nothing that was said is taken back
                known = watched
                post(ComparisonAdvanced(watched))
        except OSError as error:  # rights taken away, or a network file system that is away
            post(ComparisonUnreadable(error.strerror or str(error)))
            left.wait(TRY_AGAIN_SECONDS)
            continue
        if left.is_set():
            return
        post(ComparisonAdvanced(known, last=True))
        if known.state.deleted:
            return
        try:
            more = await_more(folder, known, left)
        except OSError:  # it is told above what is wrong
            continue
        if not more and not left.is_set():
            known = replace(known, state=msgspec.structs.replace(known.state, deleted=True), left=None)
            post(ComparisonAdvanced(known, last=True))
            return
