"""Output for people: pictures, pages, a JSON report per query."""
