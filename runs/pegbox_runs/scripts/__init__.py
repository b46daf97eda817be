"""What is printed for launchers that aren't ours: commands, a Slurm script, a SkyPilot task."""
