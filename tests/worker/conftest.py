"""The bundled model, loaded once for all tests of the worker's parts."""

from __future__ import annotations

import gc
import sys
from typing import Any

import pytest

sys.modules.setdefault("bitsandbytes", None)  # type: ignore[arg-type]  # as the worker does: a second saved

import torch  # noqa: E402

from pegbox_methods.recipe import Model  # noqa: E402
from pegbox_runs.models import find_model  # noqa: E402
from pegbox_worker.base_model import load_model, load_tokenizer  # noqa: E402

BUNDLED = Model(name="bundled")


@pytest.fixture(scope="session", autouse=True)
def _libraries_that_are_no_garbage() -> None:
    """Keep what is imported out of the collections of garbage: each training makes one, a third of a second here."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return load_tokenizer(find_model(BUNDLED), BUNDLED)


@pytest.fixture
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return load_model(find_model(BUNDLED), torch.float32, torch.device("cpu")).eval()
