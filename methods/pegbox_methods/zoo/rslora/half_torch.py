"""rsLoRA's torch half."""

from __future__ import annotations

from functools import partial

from pegbox_methods.zoo.shared.half_torch import PeftHalf, lora_config

half = PeftHalf(partial(lora_config, use_rslora=True))
