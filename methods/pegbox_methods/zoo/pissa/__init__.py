"""PiSSA: LoRA that begins with the largest directions of the weights themselves."""
