"""From what a person asks to a comparison's folder, with everything refused that must be."""
