"""What training minimizes: over pairs of slices, by matching, by contrast."""
