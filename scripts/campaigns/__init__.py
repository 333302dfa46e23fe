"""Endurance: what the product is put through by scripts/campaign."""
