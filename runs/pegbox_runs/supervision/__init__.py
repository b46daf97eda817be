"""Owning runs: one supervisor a run, its worker's life and death, and what comes after."""
