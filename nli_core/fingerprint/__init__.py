"""Digests of the code that can change a result."""
