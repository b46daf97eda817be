"""The sentinel: whether a run really does what it says, looked at while it does it. A check is a file."""
