"""A process begins; Redis came back or was replaced: what this process knows is written again."""
