"""Who hands the same messages to the same vendor, each in its own way.

A new one is a module here and a line in `bench.sections.unique`.
"""
