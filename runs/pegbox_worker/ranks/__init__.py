"""Several processes that carry one run: what they agree on, add up and tell of each other."""
