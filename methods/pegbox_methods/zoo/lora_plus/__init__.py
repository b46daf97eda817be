"""LoRA+: LoRA whose second matrix learns faster than its first."""
