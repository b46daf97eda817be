"""P-tuning: made-up tokens before every row, written by a small network."""
