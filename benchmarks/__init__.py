"""Side by side with the peers: what it costs to get an answer. `make bench` runs all of it."""
