"""The sections of a run's report, each made of what the run's folder tells."""
