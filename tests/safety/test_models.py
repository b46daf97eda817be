"""Folders of models and adapters that bring code: none of it runs, and the refusal says what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from pickle import dumps
from typing import Any

import pytest

from pegbox_methods.adapter_files import refuse_pickles
from pegbox_methods.recipe import Model
from pegbox_methods.refusal import Refusal
from pegbox_runs.models import BUNDLED, find_model


class Payload:
    """A pickle that leaves a mark where it is opened."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self._mark,)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BUNDLED / "model", tmp_path / "model"))


def with_code(folder: Path, mark: Path, **changes: object) -> None:
    """Give a model code of its own, as remote code comes."""
    (folder / "theirs.py").write_text(
        f"import pathlib\npathlib.Path({str(mark)!r}).touch()\nTheirs = Conf = Tok = None\n"
    )
    auto = {
        "AutoConfig": "theirs.Conf",
        "AutoModelForCausalLM": "theirs.Theirs",
        "AutoTokenizer": ["theirs.Theirs", None],
    }
    for name in ("config.json", "tokenizer_config.json"):
        file = folder / name
        table = json.loads(file.read_text()) if file.is_file() else {}
        file.write_text(json.dumps({**table, "auto_map": auto, **(changes if name == "config.json" else {})}))


def load(folder: Path) -> None:
    """Load as the worker does."""
    torch = pytest.importorskip("torch")
    from pegbox_worker.base_model import load_model, load_tokenizer

    model = Model(name=str(folder))
    found = find_model(model)
    load_tokenizer(found, model)
    load_model(found, torch.float32, torch.device("cpu"))


def test_a_model_of_a_type_that_only_its_own_code_knows_is_refused_and_the_code_not_run(
    folder: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    with_code(folder, mark, model_type="theirs")
    with pytest.raises(Refusal, match=r"runs no code that comes with a model|known type"):
        load(folder)
    assert not mark.exists()


def test_a_model_of_a_known_type_is_loaded_without_the_code_it_brings(folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    with_code(folder, mark)
    load(folder)
    assert not mark.exists()


def test_weights_that_lie_in_a_pickle_alone_are_refused_unopened_with_the_way_to_convert_them(
    folder: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(dumps(Payload(mark)))
    with pytest.raises(Refusal, match=r"pytorch_model\.bin may run code.*save_pretrained") as refusal:
        find_model(Model(name=str(folder)))
    assert "where you trust it" in refusal.value.sentence
    assert not mark.exists()


def test_an_adapter_whose_weights_lie_in_a_pickle_alone_is_refused_unopened(tmp_path: Path) -> None:
    from pegbox_methods.registry import find_card
    from pegbox_methods.torch_half import load_torch_half

    mark, adapter = tmp_path / "ran", tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.bin").write_bytes(dumps(Payload(mark)))
    (adapter / "adapter_config.json").write_text('{"peft_type": "LORA", "auto_mapping": null}')
    for name in ("lora", "shira", "ia3"):
        with pytest.raises(Refusal, match=r"adapter_model\.bin.*save_pretrained"):
            load_torch_half(find_card(name)).load(object(), adapter)  # type: ignore[arg-type]
    assert not mark.exists()


def test_an_adapter_with_safetensors_is_taken(tmp_path: Path) -> None:
    (tmp_path / "adapter_model.safetensors").touch()
    (tmp_path / "adapter_model.bin").touch()
    refuse_pickles(tmp_path)
