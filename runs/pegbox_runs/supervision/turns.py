"""What a worker that carries run after run, and who gives it the runs, agree on."""

TURNS = "--turns"
"""The worker's option; its value is a descriptor that it writes to."""
COMPLETED = b"0\n"
"""Written there when a run was completed, with exit code 0, and the worker waits for the next one. Other ends are told
by the process's own."""
