"""Compilation of the configuration: SQL and small relations, every value quoted by sqlglot."""
