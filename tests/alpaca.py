"""The real rows of the slow tests: Alpaca's where they lie beside the checkout, else the bundled ones.

They are third-party and not part of this repository.
"""

from __future__ import annotations

from pathlib import Path

from pegbox_runs.models import BUNDLED

BESIDE = Path(__file__).parents[2] / "shared" / "data" / "alpaca_en.json"


def alpaca_rows() -> Path:
    """Give the file of rows."""
    return BESIDE if BESIDE.is_file() else BUNDLED / "rows.jsonl"
