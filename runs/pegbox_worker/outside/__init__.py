"""Measures from outside, where torch is: tasks of plugins and of lm-eval, and the answers that a judge compares."""
