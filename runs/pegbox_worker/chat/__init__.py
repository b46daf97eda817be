"""Several models in one process that answer the same question, on one base model's weights where they can."""
