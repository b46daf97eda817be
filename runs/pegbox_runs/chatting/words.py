"""What is said of answers in few words: for lines and screens alike. Who shows names that are in it escapes them."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_runs.chatting.records import BASE, Sampling
from pegbox_runs.chatting.speakers import base_name
from pegbox_runs.chatting.talk import Talk
from pegbox_runs.chatting.turns import ROOM_SHORT, Answer
from pegbox_runs.printable import one_line

SYSTEM_SHOWN = 60
"""Letters of a system prompt that are told."""


def title(talk: Talk, lane: str) -> str:
    """Name a lane: what it is, and which run."""
    run = talk.speaker(lane).run
    return f"base ({base_name(run)})" if lane == BASE else f"{run.card.name} ({run.id})"


def figures(answer: Answer) -> str:
    """Tell how much was said, how fast, and why it ended where that isn't of itself."""
    said = [f"{answer.tokens:,} token{'' if answer.tokens == 1 else 's'}"]
    if answer.rate is not None:
        said.append(f"{answer.rate:.3g} tokens/s")
    if answer.end == "length":
        full = answer.fullness is not None and answer.fullness >= 1
        said.append("cut: the context is full" if full else "cut at the longest answer (--tokens)")
    if answer.end == "interrupted":
        said.append("interrupted")
    return ", ".join(said)


def room(talk: Talk, answer: Answer) -> Iterator[str]:
    """Tell what was left out for want of room, how full the context is, and what is longer than the training knew."""
    shown = answer.rendered
    if shown is None:
        return
    unheard = sum(answer.lane not in turn.answers for turn in talk.turns if turn.number < shown.turn)
    if unheard:
        yield f"{unheard} question{'' if unheard == 1 else 's'} before went to others alone, and isn't known here"
    if shown.dropped and shown.context:
        many = "exchange was" if shown.dropped == 1 else f"{shown.dropped} exchanges were"
        yield f"the oldest {many} left out: the context has room for {shown.context:,} tokens"
    full = answer.fullness
    if full is not None and shown.context and full >= ROOM_SHORT:
        then = "" if shown.dropped else "; next, the oldest exchanges are left out"
        yield f"{100 * min(full, 1):.0f} % of the context of {shown.context:,} tokens is used{then}"
    length = talk.speaker(answer.lane).run.recipe.training.length
    if answer.lane != BASE and len(shown.ids) > length:
        yield f"the prompt has {len(shown.ids):,} tokens, and the training knew no row above {length:,}"


def choice(sampling: Sampling) -> str:
    """Tell how tokens are chosen."""
    if sampling.temperature == 0:
        return "greedy: each answer is the model's likeliest, so that only the model makes a difference"
    return f"temperature {sampling.temperature:g}, top-p {sampling.top_p:g}, seed {sampling.seed}"


def opening(talk: Talk) -> Iterator[str]:
    """Tell what a person should know before they ask: how each is asked, and what isn't as one would think."""
    if talk.opened is not None:
        for lane in talk.opened.lanes:
            if lane.lane != BASE and not lane.shares:
                form = "in 4 bits, as it was trained" if lane.packed else "which its method changes"
                yield f"{title(talk, lane.lane)} speaks on a base of its own, {form}."
    yield f"Answers are {choice(talk.sampling)}; {talk.sampling.tokens:,} tokens at most."
    for speaker in talk.speakers:
        trained = speaker.trained
        if trained.unsure:
            yield f"{speaker.lane}: {trained.unsure}"
        elif not trained.templated:
            yield (
                f"{speaker.lane} was trained on plain text: what you type is shown to it as it stands, without a "
                "template and without what was said before."
            )
    if talk.system is None:
        for said in dict.fromkeys(filter(None, (talk.system_of(speaker.lane) for speaker in talk.speakers))):
            yield (
                f'The system says "{one_line(said, SYSTEM_SHOWN)}", as in every row of the training; --system gives '
                "other words."
            )
    forms = {(one.trained.templated, one.run.recipe.model.chat_template) for one in talk.speakers}
    if len(forms) > 1:
        yield "The runs were trained with different prompts: each is asked in its own form."
