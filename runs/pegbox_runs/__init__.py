"""Floor 3: from a recipe to a run folder, and from its event log to what a person sees. No torch here."""
