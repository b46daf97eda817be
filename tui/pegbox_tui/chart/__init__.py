"""Curves over steps and points in a plane, drawn in braille dots or in ASCII: what several screens draw with."""
