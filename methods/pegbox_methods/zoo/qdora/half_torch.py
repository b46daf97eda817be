"""QDoRA's torch half: DoRA's, on a base model that the worker has packed."""

from __future__ import annotations

from functools import partial

from pegbox_methods.zoo.qlora.half_torch import QuantizedHalf
from pegbox_methods.zoo.shared.half_torch import lora_config

half = QuantizedHalf(partial(lora_config, use_dora=True))
