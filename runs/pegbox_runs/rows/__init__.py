"""Rows: read from a file, recognised by looking, normalised, and split."""
