"""The parts of the job `evaluate`: which rows, which model, what it makes of them, and the rows that changed most."""
