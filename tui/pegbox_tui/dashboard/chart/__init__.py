"""One chart of a run's curves, drawn in braille dots or in ASCII."""
