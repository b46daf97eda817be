"""The parts of the job `measure`: meters of memory, made-up rows, and the ledger that both are written into."""
