"""Measures that come from outside: tasks of plugins and of lm-eval, and a judge at an address that the user names."""
