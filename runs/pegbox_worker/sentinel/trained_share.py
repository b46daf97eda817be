"""Whether as many of the tokens are learned as the rows promise."""

from __future__ import annotations

from pegbox_methods.events import Check
from pegbox_worker.token_rows import RowFacts

NAME = "trained-share"
FAR = 3.0
"""Times: rows grouped by length are no fair sample, and the first of them are the longest. Above that, something else
is learned than was prepared."""


def check_share(facts: RowFacts, *, tokens: int, labelled: int) -> Check:
    """Hold the share of labelled tokens that went through the trainer against that of all training rows."""
    if not tokens:
        return Check(name=NAME, verdict="not-applicable", text="no tokens were counted")
    if not labelled:
        text = (
            f"none of {tokens} tokens carries a label, so nothing is learned: look at the rows with `pegbox data FILE "
            "--model MODEL`, and at training.length, which may cut every answer away"
        )
        return Check(name=NAME, verdict="failed", text=text)
    share = labelled / tokens
    if not facts.tokens_trained:
        return Check(name=NAME, verdict="passed", text=f"{share:.0%} of the tokens are learned")
    whole = facts.tokens_trained / facts.tokens
    if not whole / FAR <= share <= whole * FAR:
        text = (
            f"{share:.1%} of the tokens so far are learned, and {whole:.1%} of all rows': look whether the rows that "
            "come first are unlike the others, or what a plugin does to them"
        )
        return Check(name=NAME, verdict="unsure", text=text)
    return Check(name=NAME, verdict="passed", text=f"{share:.0%} of the tokens are learned; of all rows', {whole:.0%}")
