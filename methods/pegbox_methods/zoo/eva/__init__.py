"""EVA: LoRA that begins with the directions in which the rows vary most."""
