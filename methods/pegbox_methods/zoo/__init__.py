"""The built-in methods, a folder each: `card.py` is light, `half_torch.py` is loaded by the worker alone."""
