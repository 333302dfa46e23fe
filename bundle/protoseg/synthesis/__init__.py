"""Synthetic people, pictures and patterns: the training data of the weights that ship."""
