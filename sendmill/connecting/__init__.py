"""How Redis is reached: its URL, the environment, clients that say in one way that it is away."""
