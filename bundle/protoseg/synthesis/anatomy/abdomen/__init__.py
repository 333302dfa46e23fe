"""The abdomen, from the lung bases to about the iliac crest."""
