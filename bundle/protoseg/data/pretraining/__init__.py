"""Pairs of labelled slices for pre-training: synthetic subjects, imaged at random."""
