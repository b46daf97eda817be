"""Talking to tuned models: which of them speak, what each is shown, what they said. The models are in a worker."""
