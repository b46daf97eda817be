"""pegbox push"""

from __future__ import annotations

import argparse
import sys

from pegbox.answer import answer_json, say, stream_for_people
from pegbox.push_view import lines
from pegbox.terminal import is_terminal
from pegbox_methods.refusal import Refusal
from pegbox_runs.sharing.hub import BrokenOff, NotSent, There, look, send
from pegbox_runs.sharing.pushing import Push, prepare, refuse_unfit, told


def run(asked: argparse.Namespace) -> int:
    """Show all of it, ask, and send. Returns: 0 if it was sent, or only shown; 1 if not.

    Raises: Refusal; OSError; KeyboardInterrupt.
    """
    json: bool = asked.json
    push = prepare(
        asked.run,
        asked.repo,
        what=asked.what,
        branch=asked.revision,
        public=asked.public,
        base=asked.base,
        base_id=asked.base_id,
    )
    refuse_unfit(push, None, unproven=asked.unproven)
    try:
        there = _look(asked, push)
    except NotSent as failed:
        return _not_sent(push, None, failed, json=json)
    refuse_unfit(push, there, unproven=asked.unproven)
    for line in lines(push, there):
        say(line, json=json)
    if asked.dry_run or there is None:
        say("Nothing was sent: this was a dry run.", json=json)
        if json:
            answer_json(told(push, there))
        return 0
    if not _agreed(asked, push, there):
        say("Nothing was sent.", json=json)
        return 1
    _quiet_bars()
    try:
        commit = send(
            push.repo,
            push.items,
            there,
            public=push.public,
            branch=push.branch,
            message=f"{push.what} of the run {push.run}, by Pegbox",
        )
    except BrokenOff as broken:
        _not_sent(push, there, broken, json=json)
        raise
    except NotSent as failed:
        return _not_sent(push, there, failed, json=json)
    if json:
        answer_json(told(push, there, commit=commit))
    say(f"Sent: {commit}", json=json)
    return 0


def _look(asked: argparse.Namespace, push: Push) -> There | None:
    """Ask the Hub what is there. A dry run does without an answer. Raises: Refusal. NotSent."""
    try:
        return look(push.repo, push.branch)
    except (Refusal, NotSent) as failed:
        if not asked.dry_run:
            raise
        say(f"The Hub wasn't asked: {failed.sentence}", json=asked.json)
        return None


def _agreed(asked: argparse.Namespace, push: Push, there: There) -> bool:
    """Ask the person, or take what was said beforehand. Raises: Refusal: nobody is there to be asked."""
    replaced = push.replaced(there)
    if asked.yes:
        if replaced and not asked.replace:
            raise Refusal(
                f"{push.repo}: {len(replaced)} of the files lie there already. --replace with --yes replaces them; "
                "another --repo or --revision keeps them."
            )
        return True
    if asked.json or not is_terminal():
        raise Refusal("nobody can be asked here. Look at what --dry-run shows, then send it with --yes.")
    print("Send it? [y/N] ", end="", file=stream_for_people(json=asked.json), flush=True)
    try:
        return sys.stdin.readline().strip().lower() in {"y", "yes"}
    except UnicodeDecodeError:
        return False


def _not_sent(push: Push, there: There | None, failed: NotSent | BrokenOff, *, json: bool) -> int:
    if json:
        answer_json(told(push, there, error=failed.sentence))
    say(failed.sentence, json=json)
    return 1


def _quiet_bars() -> None:
    """Keep the library's progress bars off where they would fill a log."""
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
