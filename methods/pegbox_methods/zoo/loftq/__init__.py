"""LoftQ: QLoRA that begins with what packing took away."""
