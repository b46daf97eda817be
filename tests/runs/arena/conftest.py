"""What the tests of directors share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pegbox_runs.arena.directing import carrying, records

Kept = list[tuple[int, bool, bool]]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    """Keep (done entries, complete, with the report) of each record that would be written."""
    written: Kept = []

    def keep(_: object, results: Callable[[], Any], *, report: bool) -> None:
        done, complete = results()
        written.append((done, complete, report))

    monkeypatch.setattr(records.Records, "keep", keep)
    monkeypatch.setattr(
        carrying,
        "results_now",
        lambda _folder, _comparison, outcomes, **known: (
            sum(one.state == "done" for one in outcomes.values()),
            known["complete"],
        ),
    )
    return written
