"""Slices without anatomy: many small things, and thin branching ones, none of which has a fixed place."""
