"""What else was considered: the other methods, and other settings of the one that is advised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pegbox_methods.advice.data_card import KEPT
from pegbox_methods.advice.pricing import Pricing, Trial
from pegbox_methods.advice.ranking import lost
from pegbox_methods.advice.records import Alternative
from pegbox_methods.advice.search import Found
from pegbox_methods.advice.situation import Situation
from pegbox_methods.card import Card
from pegbox_methods.suitability import Obstacle

GIB = 2**30


def other_methods(
    found: Sequence[Found], winner: Found, refused: Sequence[tuple[Card, Obstacle]], now: Situation
) -> Iterator[Alternative]:
    """Tell of each method that isn't the advice what it would take, and why it lost."""
    for one in found:
        if one is not winner:
            why, source = lost(one, winner, now)
            rank = one.pricing.settings.get("rank")
            what = one.pricing.card.name + (f", rank {rank}" if rank is not None else "")
            if one.best.setup.micro_batch != winner.best.setup.micro_batch and one.fits:
                what += f", micro-batch {one.best.setup.micro_batch}"
            yield _alternative("method", what, one.best, why, source)
    for card, obstacle in refused:
        yield Alternative(
            kind="method",
            what=card.name,
            fits=None,
            safe_bytes=None,
            margin_bytes=None,
            tokens_per_second=None,
            lost_because=obstacle.why,
            source=obstacle.source,
        )


def other_settings(winner: Found, now: Situation) -> Iterator[Alternative]:
    """Tell of other settings of the advised method: checkpointing, the micro-batch, rank, and length."""
    best = winner.best
    lacking: set[bool] = set()
    for trial in sorted(winner.tried, key=lambda t: (t.setup.checkpointing, t.setup.micro_batch)):
        told = not trial.fits and trial.setup.checkpointing in lacking  # larger ones lack more
        if trial is not best and not told:
            lacking |= set() if trial.fits else {trial.setup.checkpointing}
            state = "on" if trial.setup.checkpointing else "off"
            what = f"micro-batch {trial.setup.micro_batch}, checkpointing {state}"
            yield _alternative("setting", what, trial, _why_not(trial, best), "memory and time forecasts")
    yield from _higher_rank(winner, now)
    yield from _longer(winner, now)


def _why_not(trial: Trial, best: Trial) -> str:
    if not trial.fits:
        return f"lacks {-trial.margin_bytes / GIB:.1f} GiB"
    if trial.speed < best.speed * 0.98:
        return f"fits, and takes {best.speed / trial.speed:.2f} times as long"
    return "fits, and is no faster worth speaking of"


def _higher_rank(winner: Found, now: Situation) -> Iterator[Alternative]:
    settings, best = winner.pricing.settings, winner.best
    rank = settings.get("rank")
    if not isinstance(rank, int) or rank * 2 > now.place.policy.rank_ceiling:
        return
    doubled = {**settings, "rank": rank * 2}
    pricing = Pricing(winner.pricing.card, doubled, now, winner.pricing.optimizer)
    trial = pricing.trial(best.setup.micro_batch, checkpointing=best.setup.checkpointing)
    why = f"{now.rank.why}: {now.rank.value} is enough" if trial.fits else f"lacks {-trial.margin_bytes / GIB:.1f} GiB"
    yield _alternative("setting", f"rank {rank * 2}", trial, why, now.rank.source)


def _longer(winner: Found, now: Situation) -> Iterator[Alternative]:
    """Price the length that would leave nearly all trained tokens, where the profile's is shorter."""
    if now.data is None:
        return
    wanted = now.data.shortest(KEPT).length
    positions = now.shape.positions
    wanted = wanted if positions is None else min(wanted, positions)
    if wanted <= now.length.value:
        return
    trial = winner.pricing.trial(1, checkpointing=winner.pricing.checkpoints, length=wanted)
    why = (
        "longer than the profile's default: slower, and less memory to spare; take it if the ends of rows matter"
        if trial.fits
        else f"lacks {-trial.margin_bytes / GIB:.1f} GiB even with micro-batch 1 and checkpointing"
    )
    yield _alternative("setting", f"length {wanted}, micro-batch 1", trial, why, now.length.source)


def _alternative(kind: str, what: str, trial: Trial, why: str, source: str) -> Alternative:
    return Alternative(
        kind="method" if kind == "method" else "setting",
        what=what,
        fits=trial.fits,
        safe_bytes=trial.memory.safe_bytes,
        margin_bytes=trial.margin_bytes,
        tokens_per_second=trial.time.tokens_per_second if trial.time else None,
        lost_because=why,
        source=source,
    )
