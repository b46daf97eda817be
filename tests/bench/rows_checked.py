"""A million short rows checked, de-duplicated and parted, beside `datasets.map` over the same checks.

Goals: 20,000 rows/s and 3 times the rows/s of `datasets.map`; memory grows by less than the file's size.
Usage: python -m tests.bench.rows_checked [rows]
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil

from pegbox_methods.recipe import RowSource, Split
from pegbox_runs.rows.doctor.examine import examine
from tests.bench.made_up_rows import write_rows

ROWS = 1_000_000
MAPPED_ROWS = 100_000
"""Rows for `datasets.map`, whose rows/s don't depend on how many there are."""
GOAL_ROWS_PER_SECOND = 20_000
GOAL_TIMES = 3.0
LOOK_SECONDS = 0.1


class Memory:
    """Looks again and again at what this process and those it started hold, and keeps the most above the beginning."""

    def __init__(self) -> None:
        self._me = psutil.Process()
        self._begin = self._me.memory_info().rss
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.grown = 0
        self.processes = 1

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(LOOK_SECONDS):
            held, processes = self._me.memory_info().rss, 1
            for child in self._me.children():
                try:
                    held += child.memory_info().rss
                    processes += 1
                except psutil.Error:  # it has just ended
                    continue
            self.grown = max(self.grown, held - self._begin)
            self.processes = max(self.processes, processes)


def _computed() -> float:
    """Give the seconds of computing so far, of this process and of those that have ended."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in usage)


def examined(path: Path, planted: dict[str, int]) -> float:
    """Examine all rows. Returns: rows/s."""
    rows, size = sum(planted.values()), path.stat().st_size
    before, begin = _computed(), time.perf_counter()
    with Memory() as memory:
        report = examine(RowSource(file=str(path)), split=Split()).report
    seconds = time.perf_counter() - begin
    computed = _computed() - before
    assert report.split is not None
    print(
        f"doctor: {rows:,} rows ({size / 1e6:.0f} MB) checked, de-duplicated and parted ({report.split.trained:,} to "
        f"{report.split.held_out:,}) in {seconds:.1f} s: {rows / seconds:,.0f} rows/s (goal {GOAL_ROWS_PER_SECOND:,}); "
        f"{computed:.0f} s of computing on {len(os.sched_getaffinity(0))} cores"
    )
    print(
        f"memory: grew by {memory.grown / 1e6:.0f} MB at most, {memory.processes} processes together: "
        f"{memory.grown / size:.2f} of the file (goal below 1)"
    )
    found = {finding.name: finding.rows for finding in report.findings}
    for kind, name in (
        ("exact", "exact-duplicates"),
        ("near", "near-duplicates"),
        ("secret", "secrets"),
        ("damage", "encoding-damage"),
        ("control", "control-characters"),
        ("broken", "rejected-rows"),
    ):
        print(f"  planted {planted.get(kind, 0):7,} {kind:8} found {found.get(name, 0):7,} {name}")
    return rows / seconds


def mapped(path: Path, rows: int) -> float:
    """Do the same row by row with `datasets.map`, one process, as people write it. Returns: rows/s."""
    os.environ |= {"HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    from datasets import disable_progress_bars, load_dataset
    from rensa import RMinHash, RMinHashLSH

    from pegbox_runs.rows.doctor.row_checks import flags_of
    from pegbox_runs.rows.formats import Unfit, reader, understand
    from pegbox_runs.rows.survey.part import key_of
    from pegbox_runs.rows.survey.shingles import BANDS, NUMBERS_IN_BAND, SEED, SIMILARITY, WORDS
    from pegbox_runs.rows.survey.texts import texts_of

    disable_progress_bars()
    logging.disable(logging.WARNING)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as cache:
        table = load_dataset("json", data_files=str(path), split="train", cache_dir=cache)
        sample = [("", row) for row in table.select(range(1000))]
        read = reader(understand(sample, "auto", {}, source=path.name))

        def check(row: dict[str, Any]) -> dict[str, Any]:
            try:
                example = read(row)
            except Unfit:
                return {"key": "", "flags": 0}
            flags = flags_of(texts_of(example), msgspec.json.encode(example))
            return {"key": key_of(example).hex(), "flags": flags}

        table = table.map(check)
        seen: set[str] = set()
        index = RMinHashLSH(SIMILARITY, BANDS * NUMBERS_IN_BAND, BANDS)
        equal = alike = 0
        for number, row in enumerate(table):
            if row["key"] in seen:
                equal += 1
                continue
            seen.add(row["key"])
            words = " ".join((row["instruction"] or "", row["output"] or "")).lower().split()
            sketch = RMinHash(BANDS * NUMBERS_IN_BAND, SEED)
            sketch.update([" ".join(words[at : at + WORDS]) for at in range(len(words) - WORDS + 1)])
            alike += bool(index.query(sketch))
            index.insert(number, sketch)
        parted = table.train_test_split(0.1, seed=42)
    seconds = time.perf_counter() - begin
    print(
        f"datasets.map: {rows:,} rows in {seconds:.1f} s: {rows / seconds:,.0f} rows/s; {equal:,} equal, "
        f"{alike:,} alike, {len(parted['train']):,} to {len(parted['test']):,}"
    )
    return rows / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=int, nargs="?", default=ROWS)
    count = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        planted = write_rows(Path(folder, "rows.jsonl"), count)
        ours = examined(Path(folder, "rows.jsonl"), planted)
        few = min(count, MAPPED_ROWS)
        write_rows(Path(folder, "few.jsonl"), few)
        theirs = mapped(Path(folder, "few.jsonl"), few)
    print(f"{ours / theirs:.1f} times the rows/s of datasets.map (goal {GOAL_TIMES:g})")


if __name__ == "__main__":
    sys.exit(main())
