"""How each vendor is spoken to: pure functions from messages to requests and from bytes to outcomes.

A file or a folder a vendor; `base.py` is what each has to say, `registry.py` lists them. To add one:
docs/adding-a-provider.md.
"""
