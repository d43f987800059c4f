"""What an operator watches: metrics, charts, what is stuck, what happens now; traces."""
