"""pegbox certify NAME... [--all] [--write FILE]"""

from __future__ import annotations

import argparse
from pathlib import Path

from pegbox.answer import answer_json, say
from pegbox.certificate_view import show_certificate, show_sum
from pegbox_methods.certificate import Certificate, read_certificates, write_certificates
from pegbox_methods.home import user_path
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card, method_names, origin_of
from pegbox_runs.certifying import certify, record


def run(asked: argparse.Namespace) -> int:
    """Try methods with the bundled model. Exit code 1: one of them isn't what its card or the contract says."""
    names = _names(asked)
    file = None if asked.write is None else _certificates_file(asked.write)
    found: dict[str, Certificate] = {}
    for one in certify(names, lambda doing: say(doing, json=True)):
        found[one.method] = one
        if not asked.json:
            show_certificate(one)
        _record(one)
        if file is not None:
            write_certificates({one.method: one}, file)
    if asked.json:
        answer_json({"certificates": found, "certified": all(one.certified for one in found.values())})
    elif len(found) > 1:
        show_sum(tuple(found.values()))
    return 0 if all(one.certified for one in found.values()) else 1


def _names(asked: argparse.Namespace) -> tuple[str, ...]:
    """List the methods that are asked for, each once.

    Raises: Refusal: none, an unknown or a broken one; before minutes are spent on the others.
    """
    if asked.all == bool(asked.method):
        raise Refusal("give the names of methods (`pegbox methods` lists them), or --all for Pegbox' own.")
    ours = (name for name in method_names() if origin_of(name).startswith("pegbox "))
    names = tuple(dict.fromkeys(ours if asked.all else asked.method))
    for name in names:
        find_card(name)
    return names


def _certificates_file(named: str) -> Path:
    """Look at the file that certificates are to be put into.

    Raises: Refusal: there is no such folder, or the file holds something else.
    """
    file = user_path(named).absolute()
    if not file.parent.is_dir():
        raise Refusal(f"{file.parent}: there is no such folder to write certificates into. Make it first.")
    try:
        read_certificates(file)
    except ValueError as error:
        raise Refusal(f"{error}: it doesn't hold certificates. Give --write another file.") from None
    return file


def _record(one: Certificate) -> None:
    """Keep a certificate where `pegbox methods` looks for it; that it can't be kept is no fault of the method."""
    try:
        record({one.method: one})
    except (OSError, ValueError) as error:
        say(f"the certificate of {one.method} can't be kept: {error}", json=True)
