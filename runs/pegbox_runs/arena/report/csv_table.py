"""results.csv and seeds.csv: bare figures for a spreadsheet or a program, a header and then a row for each."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping

from pegbox_runs.arena.report.leaderboard import to_the_best
from pegbox_runs.arena.report.wording import METRICS
from pegbox_runs.arena.results import Base, ContestantResult, Interval, Results, SeedResult
from pegbox_runs.printable import printable

_FORMULA = tuple("=+-@\t\r\n＝＋－＠|%")
"""What a spreadsheet may take for the beginning of a formula. Source: owasp.org/www-community/attacks/CSV_Injection."""
Value = str | float | int | bool | None


def contestants_csv(results: Results) -> bytes:
    """Write a row for each contestant, in the results' order, after the base model's if it is known."""
    rows = [_contestant(one, results) for one in results.contestants]
    if results.base is not None and rows:
        rows = [_base(results.base, rows[0]), *rows]
    return _table(rows)


def seeds_csv(results: Results) -> bytes:
    """Write a row for each training that counts; only the header if there is none yet."""
    rows = [_seed(one, seed) for one in results.contestants for seed in one.seeds]
    return _table(rows, SEED_COLUMNS)


def safe(text: str) -> str:
    """Write a text in one printable line that no spreadsheet takes for a formula: such a one gets an apostrophe."""
    line = " ".join(printable(text).split())
    return f"'{line}" if line.startswith(_FORMULA) or text.startswith(_FORMULA) else line


def _contestant(one: ContestantResult, results: Results) -> dict[str, Value]:
    row: dict[str, Value] = {
        "contestant": one.name,
        "method": one.method,
        "standing": one.standing,
        "place": one.place,
        "group": one.group,
        **_interval("loss", one.loss, "nats_per_token"),
        **_interval("loss_less_the_first", to_the_best(one, results), "nats_per_token"),
        "base_loss_nats_per_token": one.base_loss,
        **_interval("loss_less_its_base", one.change, "nats_per_token"),
        **_interval("forgetting", one.forgetting, "nats_per_token"),
    }
    for metric in METRICS:
        row |= _interval(metric.replace("-", "_"), one.scores.get(metric), "share")
    return row | {
        "learning_rate": one.rate,
        "learning_rate_by": one.rate_by,
        "device_peak_bytes": one.device_peak,
        "process_peak_at_most_bytes": one.process_peak,
        **_interval("training", one.training_seconds, "seconds"),
        **_interval("speed", one.tokens_per_second, "tokens_per_second"),
        "adapter_bytes": one.adapter_bytes,
        "trainable_weights": one.trainable_weights,
        "seeds_done": len(one.seeds),
        "out_of_memory": one.out_of_memory,
        "why_failed": one.why,
        "settings_json": json.dumps(one.settings, default=str),
    }


def _base(base: Base, like: Mapping[str, Value]) -> dict[str, Value]:
    row: dict[str, Value] = dict.fromkeys(like)
    row |= {"contestant": "(base model)", "place": 0, "loss_nats_per_token": base.loss}
    row["base_loss_nats_per_token"] = base.loss
    return row | {f"{metric.replace('-', '_')}_share": score for metric, score in base.scores.items()}


def _seed(one: ContestantResult, seed: SeedResult) -> dict[str, Value]:
    return {
        "contestant": one.name,
        "seed": seed.seed,
        "loss_nats_per_token": seed.loss,
        "loss_all_held_out_nats_per_token": seed.loss_all,
        "kept_step": seed.kept_step,
        "general_loss_nats_per_token": seed.general,
        **{f"{metric.replace('-', '_')}_share": seed.scores.get(metric) for metric in METRICS},
        "device_peak_bytes": seed.device_peak,
        "process_peak_at_most_bytes": seed.process_peak,
        "training_seconds": seed.training_seconds,
        "wall_seconds": seed.wall_seconds,
        "tokens_per_second": seed.tokens_per_second,
        "entry": seed.entry,
        "recipe": seed.recipe,
        "changed_for_memory": "; ".join(seed.changed),
    }


SEED_COLUMNS = tuple(
    _seed(
        ContestantResult(name="", method="", settings={}, standing="done"),
        SeedResult(
            seed=0, entry="", recipe="", loss=0, loss_all=0, kept_step=0,
            training_seconds=0, wall_seconds=0, tokens_per_second=0,
        ),
    )
)  # fmt: skip


def _interval(name: str, interval: Interval | None, unit: str) -> dict[str, Value]:
    value, low, high = (interval.value, interval.low, interval.high) if interval else (None, None, None)
    return {f"{name}_{unit}": value, f"{name}_low_{unit}": low, f"{name}_high_{unit}": high}


def _table(rows: Iterable[Mapping[str, Value]], columns: Iterable[str] | None = None) -> bytes:
    """Write rows of the same keys. Source: RFC 4180."""
    rows = list(rows)
    columns = list(columns or (rows[0] if rows else ()))
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_cell(row[column]) for column in columns] for row in rows)
    return written.getvalue().encode()


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return safe(value) if isinstance(value, str) else repr(value)
