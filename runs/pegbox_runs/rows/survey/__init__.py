"""The one pass over a source: what each row is, in a few numbers, so that a million rows fit into memory."""
