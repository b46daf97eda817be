"""The page of a report: one file that any browser opens without a network, and that runs no script."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from pegbox_runs.printable import printable

_HERE = Path(__file__).parent
PAGE = "page.html.jinja"


@cache
def page_template(folder: Path) -> Template:
    """Give the page whose template lies in a folder; it extends `frame.html.jinja`, and all it shows is escaped."""
    environment = Environment(
        loader=FileSystemLoader([folder, _HERE]),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(PAGE)


def _shown(value: object) -> object:
    """Make what a template shows printable; markup is ours, and its texts went through `svg.tag`."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
