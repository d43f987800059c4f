"""What a job would come to, before it is sent: segments, accounts, prices."""
