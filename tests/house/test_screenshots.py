"""The pictures in the documentation show the app of today, and load nothing from anywhere."""

from __future__ import annotations

import re

import pytest

from tests.house.screenshots import FOLDER, PICTURES, ROOT, picture

LARGEST_BYTES = 150_000
OWN_NAMES = {"http://www.w3.org/2000/svg"}
"""What an address may be in them: the name of the format, which nobody fetches."""


@pytest.mark.parametrize("name", PICTURES)
def test_each_picture_is_what_the_app_draws(name: str) -> None:
    assert (FOLDER / f"{name}.svg").read_text(encoding="utf-8") == picture(name), "run `make screens`"


def test_pictures_are_small_and_load_nothing() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(PICTURES)
    for path in FOLDER.iterdir():
        text = path.read_text(encoding="utf-8")
        assert len(text.encode()) < LARGEST_BYTES, path
        assert set(re.findall(r"https?://[^\s\"'<>)]+", text)) <= OWN_NAMES, path
        assert "@font-face" not in text


def test_every_picture_is_shown_with_words_about_it() -> None:
    page = (ROOT / "docs" / "screens.md").read_text()
    for name in PICTURES:
        assert f"](screens/{name}.svg)" in page
    assert "](docs/screens/dashboard.svg)" in (ROOT / "README.md").read_text()
