"""What the reports of runs and of comparisons have in common: figures as text, charts, a page, Markdown."""
