"""Prices of methods that come late: the list that asked for them was left, and another is open."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from pegbox_runs import comparison, method_offers
from pegbox_tui.wizard.review import comparing
from pegbox_tui.wizard.review.compare_list import CompareList
from tests.tui.cardboard import draft, settled
from tests.tui.test_review_compare import Arena, arena, words
from tests.tui.test_review_step import Here, app_of
from tests.tui.wizard_steps import reaches

__all__ = ["arena"]


async def test_methods_that_are_priced_late_stay_out_of_the_list_of_recipes(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    priced = threading.Event()

    def late(*given: Any) -> method_offers.Offers:
        assert priced.wait(20)
        return method_offers.offers(*given)

    monkeypatch.setattr(comparing, "offers", late)
    for method in ("dora", "rslora"):
        comparison.add(Here().settled(draft(method=method)).recipe)
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("m")
        await reaches(pilot, lambda: "Pricing every method" in words(app))
        await pilot.press("escape")
        await reaches(pilot, lambda: "Pricing every method" not in words(app))
        await pilot.press("end", "enter")
        await reaches(pilot, lambda: "02 rslora," in words(app))
        priced.set()
        await settled(pilot)
        shown = [str(option.prompt) for option in app.screen.query_one(CompareList).options]
        assert [line[:2] for line in shown] == ["Ea", "Le", "01", "02"]
