"""Synthetic pictures: skin lesions, polyps, and ultrasound of nodules."""
