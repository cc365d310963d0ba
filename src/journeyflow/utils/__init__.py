"""Helpers that are independent of the domain."""
