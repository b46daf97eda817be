"""MoRA for Pegbox, written from its paper: PEFT has none."""
