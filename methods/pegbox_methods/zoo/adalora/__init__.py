"""AdaLoRA: a budget of ranks that moves to the matrices that need it."""
