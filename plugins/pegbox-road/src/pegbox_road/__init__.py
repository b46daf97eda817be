"""RoAd for Pegbox, through PEFT."""
