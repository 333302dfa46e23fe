"""The parts that the configs assemble for training, evaluation and inference."""
