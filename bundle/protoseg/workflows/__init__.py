"""What the configs assemble for training, evaluation and inference."""
