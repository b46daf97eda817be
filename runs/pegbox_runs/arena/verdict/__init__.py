"""What may be said of the contestants, and how sure that is."""
