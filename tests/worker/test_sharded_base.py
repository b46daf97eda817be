"""A packed base that will be parted among processes: FSDP2 takes its packed bytes for numbers of their type."""

from __future__ import annotations

import pytest
import torch

from pegbox_worker.base_model import admit_bitsandbytes, load_packed_model
from tests.methods_at_work import CPU, FOUND


@pytest.mark.parametrize("compute", [torch.float16, torch.bfloat16, torch.float32])
def test_packed_bytes_lie_in_the_type_they_are_gathered_in_for_another_would_change_them(compute: torch.dtype) -> None:
    admit_bitsandbytes()
    model = load_packed_model(FOUND, torch.float32, compute, CPU, shards=True)
    packed = [weight for weight in model.parameters() if hasattr(weight, "quant_state")]
    assert packed
    assert {weight.dtype for weight in packed} == {compute}
