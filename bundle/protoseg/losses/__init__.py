"""Losses of pre-training over pairs of slices: by matching, and by contrast."""
