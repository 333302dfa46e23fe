"""Comparisons of methods on the same scans, and simulated users."""
