"""Parsing in a confined process: input files are untrusted."""
