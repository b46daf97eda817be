"""Carrying a comparison to its end, whatever is killed."""
