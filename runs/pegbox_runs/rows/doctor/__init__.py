"""The doctor: what is wrong with rows, said before anything is trained on them, and mended in a copy."""
