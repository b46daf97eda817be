"""The charts of a comparison, made of the parts that all reports share."""
