"""OLoRA's torch half: PiSSA's, with a QR decomposition in place of the singular values."""

from __future__ import annotations

from functools import partial

from pegbox_methods.zoo.pissa.half_torch import ChangedBaseHalf
from pegbox_methods.zoo.shared.half_torch import lora_config

half = ChangedBaseHalf(partial(lora_config, init_lora_weights="olora"))
