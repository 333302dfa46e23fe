"""What each client does with each image: its prompts, and what it submitted."""
