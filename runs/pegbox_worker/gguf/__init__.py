"""GGUF files: written tensor by tensor, and read back as others read them."""
