"""An account's health: alerts, suspension, probes, which lanes look for another account."""
