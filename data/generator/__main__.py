"""Command line of the generator."""

from __future__ import annotations

import argparse
from pathlib import Path

from .sample import write_sample

SAMPLE = Path(__file__).resolve().parents[1] / "sample"


def main() -> None:
    """Write the sample."""
    parser = argparse.ArgumentParser(prog="python -m data.generator", description=main.__doc__)
    parser.add_argument("--out", type=Path, default=SAMPLE, help="folder to write to")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    write_sample(arguments.out, arguments.seed)


if __name__ == "__main__":
    main()
