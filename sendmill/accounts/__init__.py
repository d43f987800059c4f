"""An account as seen from outside: how it stands and when what waits will go, pauses, limits, quiet hours."""
