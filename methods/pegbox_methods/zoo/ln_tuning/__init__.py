"""LN tuning: the norms between the layers, and nothing else."""
