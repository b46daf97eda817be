"""The page of a report: one file, no script, nothing from a network, and nobody's text is markup."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from pegbox_runs import reporting
from pegbox_runs.arena.report.html import report_html
from pegbox_runs.reporting.charts.scales import linear, logarithmic, without_far_ones
from tests.report_pages import BROWSER, Page, check_safe, opened
from tests.runs.arena.made_up_results import HOSTILE, KINDS, failed, hostile, results, usual


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_of_any_results_is_whole_and_refers_to_nothing_outside(kind: str) -> None:
    text = report_html(KINDS[kind]()).decode()
    page = Page(text)
    check_safe(page)
    style = text[text.index("<style>") : text.index("</style>")]
    assert not re.search(r"url\(|@import|expression", style)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    named = [part for value in page.values("aria-labelledby") for part in value.split()]
    assert set(named) | {target[1:] for target in page.values("href") if target.startswith("#")} <= set(ids)
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert ("meta", {"http-equiv": "Content-Security-Policy", "content": policy}) in page.elements


def test_text_from_outside_is_shown_as_it_is_and_never_acts() -> None:
    text = report_html(hostile()).decode()
    page = Page(text)
    check_safe(page)
    assert "</script><script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "49" not in re.findall(r"\{\{ (.*?) \}\}", page.text)
    assert "\\x1b[31m" in page.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text)
    assert HOSTILE not in text


def test_the_page_says_all_that_a_person_should_know_the_verdict_first() -> None:
    text = Page(report_html(usual()).decode()).text
    text = " ".join(text[text.index("Comparison", text.index("print-color-adjust")) :].split())
    parts = ["lora and dora are tied for the first place", "Take lora", "Nobody beats", "Leaderboard", "base model"]
    parts += ["Group 1", "1.418 to 1.444", "Group 2", "Without a place", "out of memory", "What is tied"]
    parts += [
        "Paired differences",
        "While training",
        "at the edge of what was tried",
        "Why it failed, in its own words",
    ]
    parts += ["CUDA out of memory", "How it was done", "156 decide", "Remarks", "How to repeat it"]
    parts += ["pegbox train recipes/lora-seed-1.toml"]
    at = 0
    for part in parts:
        at = text.index(part, at)


def test_every_chart_has_a_title_and_says_in_words_what_it_shows() -> None:
    page = Page(report_html(usual()).decode())
    charts = [attributes for tag, attributes in page.elements if tag == "svg" and attributes.get("role") == "img"]
    assert len(charts) == 8  # losses, curves, memory, time, and four searches
    assert "lora: 1.431 (1.418 to 1.444)" in page.text
    assert "lora from 1.9000 to 1.44" in page.text
    assert "lora 1.4312 at 1.35 GiB" in page.text
    assert "0.0006 for 10 steps: diverged" in page.text


def test_what_cannot_be_drawn_is_left_out_and_the_page_still_made() -> None:
    page = Page(report_html(results(failed("lora"), base=None, rows=None, pareto=None)).decode())
    assert "There is nothing to draw yet." in page.text
    assert not [attributes for tag, attributes in page.elements if attributes.get("role") == "img"]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_stand_out_and_are_told_apart_by_people_who_see_fewer(scheme: int) -> None:
    blocks = re.findall(r":root \{(.*?)\}", (Path(reporting.__file__).parent / "page.css").read_text(), re.DOTALL)
    named = dict(re.findall(r"--(k[1-8]|sheet): (#[0-9a-f]+)", blocks[scheme]))
    sheet = _light(named.pop("sheet"))
    colours = np.array([_light(colour) for colour in named.values()])
    assert len(colours) == 8
    bright = np.array([*colours, sheet]) @ _TO_XYZ[1]
    ratios = (np.maximum(bright[:-1], bright[-1]) + 0.05) / (np.minimum(bright[:-1], bright[-1]) + 0.05)
    assert ratios.min() >= 3  # WCAG 2.2, 1.4.11: parts of a graphic
    for seen in _SEEN.values():
        shades = _lab(colours @ seen.T)
        apart = np.linalg.norm(shades[:, None] - shades[None], axis=-1)[np.triu_indices(8, 1)]
        assert apart.min() > 20  # of CIE76; 2.3 can just be told apart side by side


# Source: Machado, Oliveira and Fernandes 2009, doi:10.1109/TVCG.2009.113: severity 1.
_SEEN = {
    "all": np.eye(3),
    "no red": np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
    "no green": np.array([[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
    "no blue": np.array([[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]]),
}
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def _light(colour: str) -> np.ndarray:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = np.array([int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def _lab(light: np.ndarray) -> np.ndarray:
    x, y, z = np.cbrt(np.clip(np.clip(light, 0, 1) @ _TO_XYZ.T, 1e-4, 1) / [0.9505, 1.0, 1.089]).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def test_ticks_are_round_and_lie_on_the_axis() -> None:
    assert linear([1.43, 1.52]).ticks == pytest.approx((1.44, 1.46, 1.48, 1.5, 1.52))
    assert [linear([0, 80], pad=False).label(tick) for tick in linear([0, 80], pad=False).ticks] == [
        "0", "20", "40", "60", "80",
    ]  # fmt: skip
    for values in ([1.0], [0.0, 0.0], [-1e-9, 1e-9], [1e20, -1e20], [float("nan"), 5.0], []):
        scale = linear(values)
        assert 1 <= len(scale.ticks) <= 12
        assert all(scale.holds(tick) for tick in scale.ticks)
        assert len({scale.label(tick) for tick in scale.ticks}) == len(scale.ticks)
    rates = logarithmic([6e-5, 2e-4, 6e-4], [6e-5, 2e-4, 6e-4])
    assert [rates.label(tick) for tick in rates.ticks] == ["6e-5", "0.0002", "0.0006"]


def test_a_value_far_above_the_others_does_not_press_them_together() -> None:
    assert without_far_ones([1.2, 1.21, 1.25, 7.0]) == [1.2, 1.21, 1.25]
    assert without_far_ones([1.2, 7.0]) == [1.2, 7.0]
    assert without_far_ones([1.2, 1.2, 9.0]) == [1.2, 1.2]
    assert without_far_ones([1.2, 1.3, 1.4, 1.5]) == [1.2, 1.3, 1.4, 1.5]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_a_real_browser_opens_the_page_without_a_network_and_complains_of_nothing(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_bytes(report_html(hostile()))
    shown, said = opened(file, tmp_path / "profile")
    check_safe(Page(shown))
    assert "What is tied" in shown
    assert "CONSOLE" not in said, said
