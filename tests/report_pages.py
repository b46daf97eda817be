"""The page of a report, taken apart, and opened by a real browser."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
EMPTY = {"meta", "link", "br"}
ELEMENTS = EMPTY | {
    *("html", "head", "title", "style", "body", "header", "main", "nav", "section", "article", "figure", "figcaption"),
    *("details", "summary", "table", "caption", "thead", "tbody", "tr", "th", "td", "h1", "h2", "h3", "p", "a", "b"),
    *("small", "mark", "span", "div", "dl", "dt", "dd", "ul", "ol", "li", "pre", "code"),
    *("svg", "desc", "g", "path", "line", "rect", "circle", "text", "tspan"),
}


class Page(HTMLParser):
    """What a page is made of. It notes whatever isn't closed as it was opened."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), tag
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        """Give an attribute of all elements that have it."""
        return [attributes[name] for _, attributes in self.elements if name in attributes]


def check_safe(page: Page) -> None:
    """See that nothing in it acts, and that it refers to nothing outside itself."""
    assert {tag for tag, _ in page.elements} <= ELEMENTS
    for tag, attributes in page.elements:
        assert not [
            name for name in attributes if name.startswith("on") or name in {"src", "srcset", "action", "style"}
        ]
        target = attributes.get("href", "#")
        assert target.startswith("#") or (tag, target) == ("link", "data:,")


def opened(file: Path, profile: Path) -> tuple[str, str]:
    """Give the page as the browser understands it, and what the browser logged."""
    assert BROWSER is not None
    asked = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    asked += [
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
    ]
    asked += ["--proxy-server=127.0.0.1:9", "--proxy-bypass-list=<-loopback>", f"--user-data-dir={profile}"]
    asked += ["--enable-logging=stderr", "--dump-dom", file.as_uri()]
    with subprocess.Popen(
        asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as browser:
        try:
            shown, said = browser.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(browser.pid, signal.SIGKILL)
            pytest.skip("the browser doesn't come to an end here")
    if browser.returncode or not shown.strip():
        pytest.skip(f"the browser doesn't work here: {said[-300:]}")
    return shown, said
