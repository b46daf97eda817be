"""Floor 4: the screens. They read run folders and draw; no torch, no transformers, no datasets."""
