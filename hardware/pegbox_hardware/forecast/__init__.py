"""What a training run will need: memory and time, before anything heavy is loaded."""
