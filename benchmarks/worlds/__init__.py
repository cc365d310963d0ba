"""Simulated worlds with known causes, which judge whether `opportunities` and `pain_points` are true.

A world is a folder of events with the `journeyflow.yml` that an analyst would write, and the truth: the same people
live again without each pain, under the same random numbers, and the difference is what the pain cost. `python -m
benchmarks.worlds --seeds 100-159` runs the product on fresh worlds and prints how much of what it says is true.

`businesses` says what is sold and in which steps, `draw` draws a world, `simulate` lets its people live, `truth`
compares the lives, `files` writes the world, `score` judges the product's rows, `figures` adds the judgements up.
"""
