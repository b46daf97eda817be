"""DoRA: LoRA for the direction of each weight row, a number for its length."""
