"""Backfill: one run for each day of a range, as of the end of that day."""

# ruff: noqa: I001
# No postponed annotations: Prefect loads this file without naming it in sys.modules, and then cannot look them up.
import offline  # noqa: F401 -- sets the environment that Prefect reads when it is imported

import sys
from datetime import date, datetime, time, timedelta
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import validate_call

from journeyflow import load_config
from journeyflow.cli.output import guarded
from journeyflow.errors import InputError
from journeyflow.errors import JourneyflowError
from nightly import nightly


@flow(name="journeyflow-backfill", persist_result=False)
def backfill(config_path: Path, first: date, last: date) -> State[None]:
    """Run once for each day from `first` to `last`, in UTC and both included; a failed run does not stop the next.

    The run of a day reads the events before the next day begins. The state is failed, and names the days, when any run
    failed.
    """
    states = {day: nightly(config_path, as_of=end_of(day), return_state=True) for day in days(first, last)}
    failed = [day.isoformat() for day, state in states.items() if not state.is_completed()]
    if failed:
        return Failed(message=f"{len(failed)} of {len(states)} runs failed: {', '.join(failed)}")
    return Completed(message=f"{len(states)} runs published")


@validate_call
def days(first: date, last: date) -> list[date]:
    """Return the days from `first` to `last`, both included."""
    if last < first:
        raise ValueError(f"The last day, {last}, is before the first, {first}.")
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def end_of(day: date) -> datetime:
    """Return the last microsecond of a day, naive UTC."""
    return datetime.combine(day, time.max)


def main() -> None:
    """Run a backfill from the command line; exit with 1 when the run of any day failed."""
    import argparse

    parser = argparse.ArgumentParser(
        description="Run once for each day of a range. Exits with 1, and names the days, when a run failed.",
        epilog="Example: python backfill.py --config shop/journeyflow.yml --first 2026-03-01 --last 2026-03-31",
    )
    parser.add_argument("--config", type=Path, default=Path("journeyflow.yml"), help="the configuration")
    parser.add_argument("--first", type=date.fromisoformat, required=True, help="first day, such as 2026-03-01")
    parser.add_argument("--last", type=date.fromisoformat, required=True, help="last day, included")
    chosen = parser.parse_args()
    guarded(lambda: _run_all(chosen.config, chosen.first, chosen.last))


def _run_all(config_path: Path, first: date, last: date) -> None:
    load_config(config_path)  # A wrong configuration is reported before a server is started.
    if last < first:
        raise InputError(f"The last day, {last}, is before the first, {first}.")
    state = backfill(config_path, first, last, return_state=True)
    if not state.is_completed():
        raise JourneyflowError(str(state.message))
    sys.stdout.write(f"{state.message}\n")


if __name__ == "__main__":
    main()
