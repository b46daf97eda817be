"""Benchmarks: each prints both sides of a ratio from one run. They judge nothing; no test is timed."""
