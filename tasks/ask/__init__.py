"""What a vendor is asked that is no message: balances, files to keep, sensitive words, what the command line wants."""
