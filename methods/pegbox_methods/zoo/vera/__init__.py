"""VeRA: one random pair of matrices for all maps, and two trained vectors for each."""
