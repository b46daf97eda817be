"""A training step without a device: the real model, adapter, loss and optimizer on tensors that hold no numbers."""
