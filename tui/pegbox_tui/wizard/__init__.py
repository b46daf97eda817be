"""From nothing to a sound run in six steps. A step knows no other step."""
