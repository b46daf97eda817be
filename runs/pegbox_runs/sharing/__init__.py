"""Publishing what a run made on the Hugging Face Hub: what is sent, its model card, and the sending."""
