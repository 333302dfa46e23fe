"""The work of each client on each image: its prompts, and its submitted labels."""
