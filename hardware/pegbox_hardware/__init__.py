"""Floor 1: what the machine is and what a model weighs. No torch here, and nothing at import."""
