"""All runs on one screen: which there are, what each came to, and what can be done with them."""
