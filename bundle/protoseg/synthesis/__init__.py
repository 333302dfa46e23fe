"""Synthetic people, pictures and patterns: what the weights that ship were trained on."""
