"""LoRA-FA: LoRA whose first matrix stays as it was drawn."""
