"""FourierFT: a few waves, added to each matrix."""
