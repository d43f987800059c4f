"""Rows that an account cannot send now, and certainly has not sent, go to another account of their route."""
