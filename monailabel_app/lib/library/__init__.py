"""The examples that the server learned from, as users see and manage them."""
