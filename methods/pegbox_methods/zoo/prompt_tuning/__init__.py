"""Prompt tuning: made-up tokens before every row."""
