"""LoRA: two thin matrices beside each linear map."""
