"""What a person takes away from a comparison: tables, a page, and a recipe for each row, all made from its results."""
