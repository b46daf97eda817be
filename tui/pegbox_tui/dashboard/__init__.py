"""The live dashboard of one run."""
