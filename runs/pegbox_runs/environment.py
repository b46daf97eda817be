"""environment.json: what a run stood on, so that it can be understood and repeated later."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from pegbox_hardware.machine import Machine, probe
from pegbox_runs.base_prints import TOKENIZER, BasePrints, file_sha256, template_sha256

if TYPE_CHECKING:
    from pegbox_methods.recipe import Model
    from pegbox_runs.models import FoundModel  # a director reads environments without it

LIBRARIES = ("accelerate", "bitsandbytes", "datasets", "peft", "tokenizers", "torch", "transformers", "trl")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Variables that say how many threads a sum is divided among, which decides its last digits."""
Part = Literal["config or weights", "tokenizer", "chat template"]
"""Of a base model."""


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """Facts at the start of a run. No paths of the user's home, no tokens."""

    pegbox: str
    libraries: dict[str, str | None]
    """Version by name; None where one isn't installed."""
    machine: Machine
    rows_sha256: str
    """Of the rows' file, byte by byte."""
    held_out_sha256: str | None
    """Of the held-out rows' file, if there is one."""
    model_sha256: str
    """Of the model's config.json and the sizes of its weight files."""
    weights_sha256: str | None = None
    """Of blocks of its weights, see `base_prints.py`; None: they weren't here, or it is an old record."""
    tokenizer_sha256: str | None = None
    """Of its tokenizer.json."""
    template_sha256: str | None = None
    """Of the file that holds the chat template, the recipe's or the model's own."""
    threads: dict[str, str] = {}
    """Of THREADS, those that were set."""


def describe(*, rows_sha256: str, held_out_sha256: str | None, base: BasePrints) -> Environment:
    """Read the machine and the installed versions now."""
    return Environment(
        pegbox=version("pegbox"),
        libraries=installed_libraries(),
        machine=probe(),
        rows_sha256=rows_sha256,
        held_out_sha256=held_out_sha256,
        model_sha256=base.model_sha256,
        weights_sha256=base.weights_sha256,
        tokenizer_sha256=base.tokenizer_sha256,
        template_sha256=base.template_sha256,
        threads={name: os.environ[name] for name in THREADS if os.environ.get(name)},
    )


def installed_libraries() -> dict[str, str | None]:
    """Read the versions of the libraries that training and its figures rest on; None where one isn't installed."""
    return {name: _version(name) for name in LIBRARIES}


def prints_of(found: FoundModel, named: Model) -> BasePrints:
    """Hash all that tells a model from another; `named`: as a recipe names it."""
    return BasePrints(
        model_sha256=found.sha256(),
        weights_sha256=found.weights_sha256(),
        tokenizer_sha256=file_sha256(found.folder / TOKENIZER),
        template_sha256=template_sha256(named, found.folder),
    )


def prints_in(told: Environment) -> BasePrints:
    """Give what a record says of the base model."""
    return BasePrints(told.model_sha256, told.weights_sha256, told.tokenizer_sha256, told.template_sha256)


def changed_part(told: BasePrints, now: BasePrints, *, from_hub: bool) -> Part | None:
    """Name what makes another model of the one that was `told`; None: it is that one. What wasn't told isn't compared.

    A model `from_hub` is pinned to its commit, which stands for its config; its weights may have to be fetched again.
    """
    if not from_hub and now.model_sha256 != told.model_sha256:
        return "config or weights"
    if told.weights_sha256 is not None and now.weights_sha256 not in (None, told.weights_sha256):
        return "config or weights"
    if told.tokenizer_sha256 not in (None, now.tokenizer_sha256):
        return "tokenizer"
    return "chat template" if told.template_sha256 not in (None, now.template_sha256) else None


def read_environment(path: Path) -> Environment:
    """Read the record. Raises: OSError; one of UNDECODABLE."""
    return msgspec.json.decode(path.read_bytes(), type=Environment)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
