"""LoRA's torch half."""

from __future__ import annotations

from pegbox_methods.zoo.shared.half_torch import PeftHalf, lora_config

half = PeftHalf(lora_config)
