"""Outbox to wire to outcome: claim, pack, admission, the gate with its limits, the call, what became of it."""
