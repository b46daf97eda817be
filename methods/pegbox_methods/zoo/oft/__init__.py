"""OFT: each block of a map's inputs is rotated."""
