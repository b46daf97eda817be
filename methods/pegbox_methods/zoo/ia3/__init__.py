"""IA3: a trained factor for each key, each value and each inner activation of the MLP."""
