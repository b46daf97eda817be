"""A run's model held against its base, after the training: what it gained, what it forgot, and what is chance."""
