"""Seeded generator of the sample shop and of benchmark logs: `python -m data.generator --help`."""
