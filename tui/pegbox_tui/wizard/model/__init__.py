"""Step 2: which model is tuned, and whether it fits the device that one plans for."""
