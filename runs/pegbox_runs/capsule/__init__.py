"""One file that holds what repeats a run and shows what came of it: packed, opened safely, checked, replayed."""
