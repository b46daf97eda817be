"""What the advisor knows: rules over a run's state, by what they look at."""
