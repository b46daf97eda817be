"""pegbox chat"""

from __future__ import annotations

import argparse
from contextlib import closing

from pegbox.answer import say
from pegbox.terminal import can_draw
from pegbox_methods.refusal import Refusal
from pegbox_runs.chatting.records import Sampling
from pegbox_runs.chatting.speakers import speakers
from pegbox_runs.chatting.talk import Talk, refuse_nothing
from pegbox_runs.jobs import JobFailed


def run(asked: argparse.Namespace) -> int:
    """Talk on a screen, in lines, or once. Returns: 1 if a question had no answer, else 0.

    Raises: Refusal: a run can't be talked to, or runs can't be talked to together.
    """
    if asked.once is not None:
        refuse_nothing(asked.once)
    sampling = Sampling(temperature=asked.temperature, top_p=asked.top_p, seed=asked.seed, tokens=asked.tokens)
    found = speakers(asked.run, base=asked.base)
    with closing(Talk(found, sampling=sampling, system=asked.system, base=found[0].run.moved_base)) as talk:
        try:
            if asked.json or asked.plain or asked.once is not None or not can_draw():
                from pegbox.chat_lines import Lines

                return Lines(talk, both=bool(asked.both), json=asked.json, prompts=asked.prompt).run(asked.once)
            from pegbox_tui.chat.app import chat
            from pegbox_tui.shell.look import Look

            lost = chat(talk, both=asked.both is not False, look=Look.here())
        except JobFailed as failed:
            raise Refusal(failed.explained) from failed
    if lost:
        say(lost)
    return 1 if lost else 0
