"""RandLoRA: updates of full rank, made of random bases that are scaled and added up."""
