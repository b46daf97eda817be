"""Results of comparisons that nobody made, of every kind that a report must show."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.report.names import recipe_name
from pegbox_runs.arena.results import (
    Base,
    ContestantResult,
    Interval,
    Pair,
    Pareto,
    Results,
    Rows,
    SeedResult,
    Trial,
)

GIB = 2**30
HOSTILE = (
    "</script><script>alert(1)</script>\n\x1b[31m<img src=x onerror=alert(1)> | `a` [b](http://example.org) "
    "\u202ereversed\ud800 \"quoted\" 'single' {{ 7 * 7 }} {% raw %} ]]> <!-- @someone &amp; \x00 end"
)


def interval(value: float, half: float | None = None) -> Interval:
    """One of a width; None: measured once."""
    return Interval(value=value) if half is None else Interval(value=value, low=value - half, high=value + half)


def curve(start: float, end: float, steps: int = 80, points: int = 9) -> tuple[tuple[int, float], ...]:
    """One that falls as curves do."""
    every = max(1.0, steps / (points - 1))
    return tuple(
        (round(n * every), end + (start - end) * math.exp(-5 * n / (points - 1)) + 0.002 * math.sin(7 * n))
        for n in range(points)
    )


def seeds(
    name: str, loss: float, numbers: tuple[int, ...] = (1, 2, 3), points: int = 9, **given: Any
) -> list[SeedResult]:
    """Trainings that count, one for each seed."""
    return [
        SeedResult(
            seed=seed,
            entry=f"{name}.seed-{seed}",
            recipe=recipe_name(name, seed),
            loss=loss + 0.003 * place,
            loss_all=loss + 0.01 + 0.003 * place,
            kept_step=80,
            general=2.31,
            training_seconds=61.2 + place,
            wall_seconds=70.0 + place,
            tokens_per_second=5210.0 - 10 * place,
            curve=curve(1.9, loss + 0.01 + 0.004 * place, points=points),
            **{"device_peak": round(1.2 * GIB), "process_peak": 2 * GIB, **given},
        )
        for place, seed in enumerate(numbers)
    ]


def trials(best: float = 1.5) -> tuple[Trial, ...]:
    """A search of three short tries, one of which blew up, and two longer ones."""
    return (
        Trial(rate=6e-5, steps=10, loss=best + 0.2),
        Trial(rate=2e-4, steps=10, loss=best + 0.08),
        Trial(rate=6e-4, steps=10, loss=None, why="diverged"),
        Trial(rate=6e-5, steps=20, loss=best + 0.1),
        Trial(rate=2e-4, steps=20, loss=best),
    )


def contestant(name: str, loss: float, place: int, group: int, /, **given: Any) -> ContestantResult:
    """One that is done."""
    usual: dict[str, Any] = {
        "method": name.split("-")[0],
        "settings": {"rank": 16, "alpha": 32.0, "dropout": 0.05, "targets": ["q_proj", "v_proj"], "stable": True},
        "standing": "done",
        "place": place,
        "group": group,
        "rate": 2e-4,
        "rate_by": "search",
        "trials": trials(loss + 0.05),
        "seeds": tuple(seeds(name, loss)),
        "loss": interval(loss, 0.0131),
        "base_loss": 1.9021,
        "change": interval(loss - 1.9021, 0.019),
        "forgetting": interval(0.031, 0.011),
        "scores": {"exact-match": interval(0.41, 0.06), "rouge-l": interval(0.557, 0.031)},
        "base_scores": {"exact-match": 0.05, "rouge-l": 0.21},
        "device_peak": round((1.2 + 0.15 * place) * GIB),
        "process_peak": 2 * GIB,
        "training_seconds": interval(61.2 + 9 * math.cos(place * 2), 1.7),
        "tokens_per_second": interval(5210.0, 61.0),
        "adapter_bytes": 9_200_000,
        "trainable_weights": 2_359_296,
    }
    return ContestantResult(name=name, **{**usual, **given})


def results(*contestants: ContestantResult, **given: Any) -> Results:
    """A complete record of these."""
    ranked = [one for one in contestants if one.loss is not None]
    pairs = tuple(
        Pair(
            one=ranked[0].name,
            other=one.name,
            difference=interval(ranked[0].loss.value - one.loss.value, 0.006),
            told_apart=one.group != 1,
        )
        for one in ranked[1:]
        if one.loss and ranked[0].loss
    )
    numbers = sorted({one.group for one in ranked if one.group})
    usual: dict[str, Any] = {
        "comparison": "2031-05-04-101500-quiet-otter",
        "complete": True,
        "made": 1_935_742_500.0,
        "version": "0.9.0",
        "machine": "NVIDIA RTX 4090, 24 GiB",
        "device": "cuda:0",
        "model": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "rows_file": "/home/somebody/rows/support.jsonl",
        "rows": Rows(held_out=208, choosing=52, deciding=156, general=64, answered=50),
        "seeds": (1, 2, 3),
        "compared_seeds": (1, 2, 3),
        "steps": 80,
        "effective_batch": 16,
        "length": 1024,
        "search": True,
        "budget": "2h",
        "wall_seconds": 6100.0,
        "base": Base(loss=1.9021, general=2.28, scores={"exact-match": 0.05, "rouge-l": 0.21}),
        "pairs": pairs,
        "groups": tuple(tuple(one.name for one in ranked if one.group == number) for number in numbers),
        "pareto": Pareto(axes=("loss", "memory", "time"), front=tuple(one.name for one in ranked[:2])),
        "recommendation": "",
    }
    return Results(contestants=contestants, **{**usual, **given})


def usual() -> Results:
    """Five: two tied, one behind, one far off, one out of memory."""
    dearer: dict[str, Any] = {"device_peak": round(1.61 * GIB), "training_seconds": interval(88.2, 2.1)}
    return results(
        contestant("lora", 1.4312, 1, 1),
        contestant("dora", 1.4339, 1, 1, rate_by="search-edge", **dearer),
        contestant("rslora", 1.4901, 3, 2, standing="part", seeds=tuple(seeds("rslora", 1.49, (1, 2)))),
        contestant("lora-harmful", 2.9034, 4, 3, remarks=("Its loss is higher than the base model's.",)),
        failed("full", out_of_memory=True, why="CUDA out of memory. Tried to allocate 96.00 MiB."),
        recommendation="Take lora: it is tied with dora for the lowest loss, and needs the least memory and time of "
        "the two. This rests on 156 held-out rows and 3 seeds, on this model and these rows alone.",
        remarks=("The learning rate of dora lies at the edge of what was tried.", "rslora has 2 of 3 seeds."),
    )


def failed(name: str, **given: Any) -> ContestantResult:
    """One that takes no further part."""
    return ContestantResult(
        name=name, method=name, settings={"rank": 8}, standing="failed", rate=1e-3, **{"why": "it broke", **given}
    )


def won() -> Results:
    """One that is better than the other, without a search, on a CPU."""
    plain: dict[str, Any] = {
        "rate_by": "recipe", "trials": (), "device_peak": None, "scores": {}, "base_scores": {}, "forgetting": None,
    }  # fmt: skip
    one = contestant("lora", 1.43, 1, 1, seeds=tuple(seeds("lora", 1.43, device_peak=None)), **plain)
    other = contestant("ia3", 1.61, 2, 2, seeds=tuple(seeds("ia3", 1.61, device_peak=None)), **plain)
    base = Base(loss=1.9021)
    return results(one, other, winner="lora", search=False, budget="", base=base, device=None, machine="2 cores, 8 GiB")


def alone() -> Results:
    """One contestant, one seed, nothing to compare with."""
    one = contestant(
        "lora", 1.43, 1, 1, loss=interval(1.43), training_seconds=interval(8.31), tokens_per_second=interval(88.4),
        seeds=tuple(seeds("lora", 1.43, (1,))), place=None, group=None,
    )  # fmt: skip
    return results(
        one,
        seeds=(1,),
        compared_seeds=(1,),
        groups=(),
        pareto=None,
        remarks=("With one contestant nothing is compared.",),
    )


def early() -> Results:
    """One at which nothing is known yet."""
    waiting = [
        ContestantResult(name=name, method=name, settings={}, standing=standing)
        for name, standing in (("lora", "running"), ("dora", "waiting"))
    ]
    return results(*waiting, complete=False, rows=None, base=None, steps=None, pareto=None)


def nothing() -> Results:
    """One at which all failed."""
    return results(failed("lora"), failed("dora", why=""), base=None, rows=None, pareto=None)


def hostile() -> Results:
    """One whose every text wants to be something else."""
    trial = Trial(rate=1e-3, steps=3, loss=None, why=HOSTILE)
    name = '"><svg onload=alert(1)>../../=1+1'
    bad = contestant(
        name, math.inf, 2, 2, method=HOSTILE, settings={HOSTILE: HOSTILE, "=x": [HOSTILE]}, why="=cmd|' /C calc'!A0",
        remarks=(HOSTILE,), seeds=tuple(seeds(name, 1.5, changed=(HOSTILE,))), trials=(trial,) * 3,
    )  # fmt: skip
    return results(
        contestant("lora", 1.43, 1, 1, why=HOSTILE),
        bad,
        failed("broken", why="\n".join([HOSTILE] * 40)),
        comparison=HOSTILE, machine=HOSTILE, model=HOSTILE, rows_file="/" + HOSTILE, budget=HOSTILE, version=HOSTILE,
        recommendation=HOSTILE, remarks=(HOSTILE, "=1+1"), device=HOSTILE,
    )  # fmt: skip


def many(points: int = 500) -> Results:
    """Fifty contestants with five seeds each."""
    made = []
    for n in range(50):
        name = f"contestant-number-{n:02}-of-a-rather-long-name"[:40]
        loss = 1.3 + 0.011 * n
        given = {"seeds": tuple(seeds(name, loss, (1, 2, 3, 4, 5), points)), "method": "lora"}
        made.append(contestant(name, loss, n // 5 * 5 + 1, n // 5 + 1, **given))
    return results(*made, seeds=(1, 2, 3, 4, 5), compared_seeds=(1, 2, 3, 4, 5))


KINDS: dict[str, Callable[[], Results]] = {
    "usual": usual,
    "won": won,
    "alone": alone,
    "early": early,
    "nothing": nothing,
    "hostile": hostile,
    "many": many,
}


def folder_with_entries(made: Results, root: Path) -> ComparisonFolder:
    """A comparison's folder in which each training that counts has a recipe."""
    folder = ComparisonFolder(root / "comparisons" / "one")
    folder.entries.mkdir(parents=True)
    for one in made.contestants:
        for seed in one.seeds:
            place = folder.entry(f"{one.name}.seed-{seed.seed}").path
            if place.parent == folder.entries:
                place.mkdir()
                (place / "recipe.toml").write_text(f"# {one.name} {seed.seed}\n")
    return folder
