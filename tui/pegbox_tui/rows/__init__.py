"""The rows: what is wrong with them, how long they are, and what is trained of each."""
