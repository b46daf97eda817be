"""HRA: the inputs of each linear map go through a chain of mirrors."""
