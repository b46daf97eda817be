"""`make accuracy`: how far forecasts are from what was measured, per source, model and method."""

from __future__ import annotations

import sys

from tests.accuracy.analytic import forecasts
from tests.accuracy.report import report


def main() -> None:
    print("level 1, from config.json alone")
    print(report(forecasts()))
    if "--simulated" in sys.argv:
        from tests.accuracy.simulated import forecasts as simulated

        print("\nlevel 2, simulated")
        print(report(simulated()))


if __name__ == "__main__":
    main()
