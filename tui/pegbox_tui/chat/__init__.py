"""Talking to tuned models: a column for each, and one line to ask them all."""
