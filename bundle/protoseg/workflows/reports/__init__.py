"""What is written for people to look at: pictures, pages, a JSON report a query."""
