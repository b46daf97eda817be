"""One comparison on one screen: who leads, how each got there, what it cost, what may be said of it."""
