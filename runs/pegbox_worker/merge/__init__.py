"""Folding a run's adapter into its base model: map by map where that can be, else as a whole; and the proof of it."""
