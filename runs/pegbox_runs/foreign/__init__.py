"""Recipes of other tools, read into recipes of ours: each key is carried over, translated, or named as left."""
