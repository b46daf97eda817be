"""What torch sees here, asked as `pegbox doctor` asks: in a process of its own."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from pegbox_runs.torch_facts import TorchFacts, torch_facts


@pytest.fixture(scope="module")
def facts() -> TorchFacts:
    return torch_facts()


def test_torch_tells_its_version_and_build(facts: TorchFacts) -> None:
    assert facts.version.partition("+")[0] == version("torch").partition("+")[0]
    if "+cpu" in facts.version:
        assert (facts.build, facts.build_version, facts.architectures, facts.devices) == ("cpu", None, (), ())
    assert facts.fault is None


def test_the_table_of_torchs_cuda_builds_is_where_it_was(facts: TorchFacts) -> None:
    """PYTORCH_RELEASES_CODE_CC is torch's own; the command that mends a wrong build stands on it."""
    assert "13.0" in facts.releases
    assert 90 in facts.releases["13.0"]


def test_the_processor_computes_and_attends(facts: TorchFacts) -> None:
    assert facts.processor.fault is None
    assert facts.processor.bf16
    assert {"flash", "math"} <= set(facts.processor.attention)
    assert "cudnn" not in facts.processor.attention


def test_bitsandbytes_is_tried_although_the_worker_keeps_it_out(facts: TorchFacts) -> None:
    assert facts.bitsandbytes is not None
    assert facts.bitsandbytes.version == version("bitsandbytes")
    assert facts.bitsandbytes.fault is None
    assert (facts.bitsandbytes.library or "").startswith("libbitsandbytes_")


def test_the_companions_versions_are_told(facts: TorchFacts) -> None:
    for name in ("transformers", "peft", "trl", "accelerate", "datasets"):
        assert facts.libraries[name] == version(name)
