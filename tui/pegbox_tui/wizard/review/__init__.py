"""Step 6: the recipe as it will be kept, what it takes, what would be refused; measure, save, start, compare."""
