"""GraLoRA: a thin pair of matrices for each block of a linear map."""
