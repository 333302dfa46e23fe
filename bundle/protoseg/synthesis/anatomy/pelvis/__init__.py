"""The pelvis, from the iliac crest to the upper thighs."""
