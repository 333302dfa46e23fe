"""Worlds of random shapes, so that features serve structures that nobody drew."""
