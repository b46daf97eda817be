"""The comparison that a picture in the documentation shows: nobody has it, all is fixed."""

from __future__ import annotations

from unittest import mock

import msgspec

from pegbox_methods.recipe import Method, Model, Recipe, Rows, Training
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.results import Base, ContestantResult, write_results
from pegbox_runs.arena.spec import Asked, Comparison
from tests.house.picture_story import BEGUN, ROWS_FILE, SMALL_MODEL
from tests.runs.arena.arena_folders import OUT_OF_MEMORY, fails, made, trains
from tests.runs.arena.made_up_results import contestant, curve, failed, interval, results, seeds

SEEDS = (5, 6, 7)
STEPS = 240
FIGURES = {
    "lora": (1.3312, 1, 1, 2.4, 611.0, 9.2e6, 0.031),
    "dora": (1.3287, 1, 1, 2.9, 884.0, 9.6e6, 0.029),
    "qlora": (1.3496, 3, 2, 1.1, 902.0, 9.2e6, 0.034),
    "ia3": (1.4411, 4, 3, 2.0, 540.0, 0.4e6, 0.006),
}
"""Loss, place, group, GiB, seconds, bytes, forgetting."""


def comparison_so_far() -> ComparisonFolder:
    """Write a comparison of six, of which four are done, one is being trained and one ran out of memory."""
    names = (*FIGURES, "rslora", "full")
    recipes = {
        name: Recipe(
            model=Model(name=SMALL_MODEL),
            rows=Rows(file=ROWS_FILE),
            method=Method(name=name),
            training=Training(learning_rate=2e-4),
        )
        for name in names
    }
    asked = Asked(contestants=names, seeds=SEEDS, steps=STEPS, trial_steps=30, search=False)
    with mock.patch("pegbox_runs.event_log.now", return_value=BEGUN):
        folder = made(asked=Comparison(asked, recipes))
        for seed in SEEDS[:2]:
            folder.entry(f"rslora.seed-{seed}").path.mkdir()
        trains(folder, "rslora.seed-7", done=150, of=STEPS, loss=1.36)
        fails(folder, "full.seed-5", msgspec.structs.replace(OUT_OF_MEMORY, what="the device ran out of memory"))
    part = result(
        "rslora", (1.3601, 4, 2, 2.4, 615.0, 9.2e6, 0.033), SEEDS[:2], standing="part", place=None, group=None
    )
    ranked = [result(name, figures, SEEDS) for name, figures in FIGURES.items()]
    ranked.sort(key=lambda one: one.loss.value if one.loss else 0.0)
    record = results(
        *ranked,
        part,
        failed("full", why=OUT_OF_MEMORY.what, out_of_memory=True),
        comparison=folder.id,
        complete=False,
        model=SMALL_MODEL,
        rows_file=ROWS_FILE,
        seeds=SEEDS,
        steps=STEPS,
        search=False,
        budget="",
        base=Base(loss=1.9021, general=2.28),
        recommendation="Take lora: it is tied with dora for the lowest loss, and needs the least memory and time of "
        "the two. This rests on 356 held-out rows and 3 seeds, on this model and these rows alone.",
    )
    write_results(record, folder)
    for one in record.contestants:
        for seed_result in one.seeds:
            folder.entry(seed_result.entry).path.mkdir(exist_ok=True)
    return folder


def result(name: str, figures: tuple[float, ...], numbers: tuple[int, ...], **given: object) -> ContestantResult:
    """Say what a contestant came to."""
    loss, place, group, gib, seconds, size, forgot = figures
    made_up = [
        msgspec.structs.replace(
            one,
            curve=curve(1.9021, loss + 0.004 * number, STEPS),
            device_peak=round(gib * 2**30),
            training_seconds=seconds,
        )
        for number, one in enumerate(seeds(name, loss, numbers))
    ]
    one = contestant(name, loss, round(place), round(group))
    return msgspec.structs.replace(
        one,
        trials=(),
        rate_by="recipe",
        seeds=tuple(made_up),
        loss=interval(loss, 0.0121),
        device_peak=round(gib * 2**30),
        training_seconds=interval(seconds, 9.0),
        tokens_per_second=interval(STEPS * 4960 / seconds, 20.0),
        adapter_bytes=round(size),
        forgetting=interval(forgot, 0.008),
        **given,
    )
