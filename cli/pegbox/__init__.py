"""Pegbox's front door. Importing it loads nothing but this line."""

__version__ = "0.1.0"
