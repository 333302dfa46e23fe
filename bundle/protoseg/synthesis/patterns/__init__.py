"""Slices without anatomy: many small things, and thin branching ones, of which no single one has a place of its own."""
