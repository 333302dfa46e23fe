"""Refiners: from the coarse segmentation of the matching to borders on the image's edges."""
