"""Incremental builds: affected persons only, merged into the last build."""
