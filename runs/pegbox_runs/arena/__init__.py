"""Comparing methods on the same rows: what is run, in which order, and what may be said of it in the end."""
