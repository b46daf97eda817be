"""LoHa: the elementwise product of two low-rank matrices beside each linear map."""
