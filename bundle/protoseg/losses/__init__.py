"""What training minimises: over pairs of slices, by matching, by contrast."""
