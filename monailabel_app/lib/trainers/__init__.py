"""The trainings that clients can start."""
