"""sendmill."""
