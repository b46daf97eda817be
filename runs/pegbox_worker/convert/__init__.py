"""A method's change of the base's weights, told as plain LoRA."""
