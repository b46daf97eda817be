"""What a model is worth, row by row: the record that a run leaves, and the measures of answers."""
