"""Readers: one per file format, all returning the same records and rejects."""
