"""Command line of the generator."""

from __future__ import annotations

import argparse
from pathlib import Path

SAMPLE = Path(__file__).resolve().parents[1] / "sample"


def main() -> None:
    """Write the sample, or with `--events` a benchmark log."""
    parser = argparse.ArgumentParser(prog="python -m data.generator", description=main.__doc__)
    parser.add_argument(
        "--events", type=int, metavar="N", help="write a benchmark log of about this many events instead of the sample"
    )
    parser.add_argument("--out", type=Path, default=SAMPLE, help="folder to write to")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    if arguments.events is None:
        from .sample import write_sample

        write_sample(arguments.out, arguments.seed)
    else:
        from .big import write_log

        write_log(arguments.out, arguments.events, arguments.seed)


if __name__ == "__main__":
    main()
