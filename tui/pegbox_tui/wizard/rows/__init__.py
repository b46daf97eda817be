"""The rows to learn from: picked, examined, parted, and cut where it costs little."""
