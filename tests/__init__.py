"""Tests, from the smallest promise to whole processes."""
