"""What clients can train."""
