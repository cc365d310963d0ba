"""Statistics as Python models: intervals, survival, tests, sentiment."""
