"""A comparison as it is now, for whoever looks at it: light, and cheap to ask again."""
