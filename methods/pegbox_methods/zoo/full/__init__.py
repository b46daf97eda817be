"""Full fine-tuning: every weight of the model."""
