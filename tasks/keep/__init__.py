"""What time decides: the tick, sweeps of what crashes left, the horizon, retention."""
