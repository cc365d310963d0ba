"""The pipeline: load, stitch, classify, build, check, publish."""
