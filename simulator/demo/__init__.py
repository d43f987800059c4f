"""`make demo`: 60,000 messages through a whole system and five simulated vendors, every one accounted for."""
