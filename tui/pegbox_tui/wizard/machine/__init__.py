"""Step 1: what this machine is, what stands in the way, and for which device one plans."""
