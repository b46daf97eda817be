"""What all screens share: the app they live in, the terminal they are drawn on, questions, explanations, bars."""
