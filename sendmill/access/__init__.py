"""Who is let in: keys of the HTTP API, passwords of the console."""
