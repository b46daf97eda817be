"""QDoRA: DoRA beside a base model that is packed into 4 bits."""
