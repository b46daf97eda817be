"""Merging map by map, against each method's own merge of the whole model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pegbox_methods.registry import all_cards
from pegbox_runs.artefacts.making import Making, making
from pegbox_runs.artefacts.weight_files import StoredTensor, stored_tensors
from pegbox_runs.tuned import TunedRun
from pegbox_worker.merge.sources import ByMaps, Whole, admit_for, source_for
from pegbox_worker.tuned_model import load_tuned
from tests.methods_at_work import one_thread
from tests.worker.made_run import made_run

CPU = torch.device("cpu")
CARDS = {card.name: card for card in all_cards()[0]}
MERGED = sorted(name for name, card in CARDS.items() if "merge" not in card.cannot)
AS_A_WHOLE = {"loftq"}
"""It rounds the base where it is loaded."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


def stored_of(run: TunedRun) -> dict[str, StoredTensor]:
    return stored_tensors(run.model.folder / file for file in run.model.weight_files)


def written(source: ByMaps | Whole, place: Path) -> Path:
    with making(place, "order") as begun:
        assert isinstance(begun, Making)
        source.write(begun, lambda *_: None)
        return begun.finish()


@pytest.mark.parametrize("name", MERGED)
def test_merged_map_by_map_a_method_gives_the_weights_of_its_own_merge_to_the_last_bit(
    name: str, tmp_path: Path
) -> None:
    run = made_run(name)
    admit_for(run)
    source = source_for(run, stored_of(run), "F32")
    assert isinstance(source, Whole if name in AS_A_WHOLE else ByMaps)
    found = load_file(written(source, tmp_path / "merged") / "model.safetensors")
    tuned = load_tuned(run, device=CPU, weights=torch.float32, packed=False)
    merged = dict(tuned.half.merge(tuned.model).named_parameters())
    assert found.keys() == stored_of(run).keys()
    base = load_file(run.model.folder / "model.safetensors")
    changed = [weight for weight in found if not torch.equal(found[weight], base[weight].float())]
    assert changed, "the adapter changes nothing, so that nothing would be compared"
    for weight, value in found.items():
        assert torch.equal(value, merged[weight]), weight
