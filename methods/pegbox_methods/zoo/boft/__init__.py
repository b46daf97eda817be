"""BOFT: rotations of small blocks, mixed by a butterfly, before each linear map."""
