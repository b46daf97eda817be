"""A run's model, made ready for another tool: one module for each target."""
