"""What one worker process has: its accounts, its connection to the ledger, its heartbeat, locks, wake-ups."""
