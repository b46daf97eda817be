"""One chart of a run's curves."""
