"""`make soak`: a whole system under load while its processes, its Redis and its vendors fail, and the account of it."""
