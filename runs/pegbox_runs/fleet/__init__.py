"""Many runs on many machines: entries of a comparison as tasks of a Ray cluster or jobs of Slurm."""
