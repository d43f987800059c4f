"""How a client hands jobs over, and asks workers for what needs credentials."""
