"""Trainable tokens: the embeddings of a few tokens, and nothing else."""
