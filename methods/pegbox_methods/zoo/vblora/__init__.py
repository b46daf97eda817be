"""VB-LoRA: all thin matrices are mixed from one bank of short vectors."""
