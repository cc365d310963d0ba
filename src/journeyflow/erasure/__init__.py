"""Erasure of persons from everything below the state folder."""
