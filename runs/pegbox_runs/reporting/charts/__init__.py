"""Charts as SVG: as wide as the page lets them, with text that stays text and keeps its size."""
