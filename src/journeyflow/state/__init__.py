"""The state folder: warehouse, builds, run log, lock, secret key."""
