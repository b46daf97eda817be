"""What a person takes away from one run: a page and the same as Markdown, both made of the same parts."""
