"""What the commands after a training can be asked: a module each, with `SUMMARY` and `add(parser)`."""
