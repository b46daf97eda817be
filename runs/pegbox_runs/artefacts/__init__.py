"""What is made of a run's adapter and taken away: its records, its place on the disk, and how it is made whole."""
