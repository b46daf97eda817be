"""Forecasts against peaks that others measured on their GPUs and published."""
