"""The advice: which method with which settings runs here, what it takes, and why this and not that."""
