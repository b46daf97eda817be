"""A run over several machines: what its crews say to each other. torch's own words between processes are torch's."""
