"""Prefix tuning: made-up keys and values before every row, in each layer."""
