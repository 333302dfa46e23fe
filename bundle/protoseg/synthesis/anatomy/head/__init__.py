"""The head and neck, from the vertex to the thyroid."""
