"""`python -m journeyflow` is the command line."""

from __future__ import annotations

from journeyflow.cli import main

if __name__ == "__main__":
    main()
