"""The charts of a run, made of the parts that all reports share."""
