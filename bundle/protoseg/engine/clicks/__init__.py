"""From clicks and scribbles to whole organs, and the user who is simulated to measure it."""
