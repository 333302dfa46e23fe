"""The models that clients see."""
