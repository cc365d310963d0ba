"""Analyses beside the map: what changed and why, and what is about to happen."""
