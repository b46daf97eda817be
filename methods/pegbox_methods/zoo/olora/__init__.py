"""OLoRA: LoRA that begins with orthogonal directions of the weights themselves."""
