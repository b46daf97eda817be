"""rsLoRA: LoRA scaled so that a higher rank learns more."""
