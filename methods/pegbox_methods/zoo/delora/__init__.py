"""DeLoRA: LoRA whose directions are trained apart from its strength, within a bound."""
