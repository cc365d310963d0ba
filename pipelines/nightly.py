"""A run as a Prefect flow: it calls the phases of `journeyflow.pipeline.run.Run` in order and holds no other logic."""

# ruff: noqa: I001
# No postponed annotations: Prefect loads this file without naming it in sys.modules, and then cannot look them up.
import offline  # noqa: F401 -- sets the environment that Prefect reads when it is imported

import importlib
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.schedules import Cron

from journeyflow import load_config
import journeyflow
from journeyflow.cli.output import guarded
from journeyflow.errors import EngineError
from journeyflow.errors import ExitCode
from journeyflow.errors import InputError
from journeyflow.errors import JourneyflowError
from journeyflow.pipeline.run import Run
from journeyflow.pipeline.run import RunReport
from journeyflow.report.formatting import briefing_lines
from journeyflow.state.folder import PREFECT_FOLDER
from local_server import configured_or_local

MOST_DROP_OFFS = 20
DROP_OFFS = """
    select funnel, step, person_count, drop_off_count, pending_count, round(100 * drop_off_rate, 1) as drop_off_percent
    from funnel_steps
    where persona = 'all' and period = 'all' and drop_off_count > 0
    order by drop_off_count desc, funnel, step_index
    limit $1
"""


def is_transient(_task: object, _run: object, state: State[Any]) -> bool:
    """Return whether a task failed for a cause that may pass (disk, network): only then is it retried."""
    error = state.result(raise_on_failure=False)
    # A failure to publish is a JourneyflowError of no special kind; the special kinds need a person.
    is_general = isinstance(error, OSError | EngineError) or type(error) is JourneyflowError
    return is_general and _has_io_cause(error)


def _has_io_cause(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) or type(error).__name__ == "IOException":
            return True
        error = error.__cause__
    return False


# Loading knows files by their hash and publishing swaps in a finished folder, so both can be retried; the phases
# between work in a database that a failure leaves incomplete.
RETRIES = 2
RETRY_SECONDS = float(os.environ.get("JOURNEYFLOW_RETRY_SECONDS", "30"))


@task(cache_policy=NO_CACHE, retries=RETRIES, retry_delay_seconds=RETRY_SECONDS, retry_condition_fn=is_transient)
def load(run: Run) -> None:
    """Bring new files into the warehouse."""
    run.load()


@task(cache_policy=NO_CACHE)
def stitch(run: Run) -> None:
    """Join devices and users into persons."""
    run.stitch()


@task(cache_policy=NO_CACHE)
def classify(run: Run) -> None:
    """Put events into stages, sessions, journeys and funnels."""
    run.classify()


@task(cache_policy=NO_CACHE)
def build(run: Run) -> None:
    """Build the tables."""
    run.build()


@task(cache_policy=NO_CACHE)
def check(run: Run) -> None:
    """Check the tables before they are published."""
    run.check()


@task(cache_policy=NO_CACHE, retries=RETRIES, retry_delay_seconds=RETRY_SECONDS, retry_condition_fn=is_transient)
def publish(run: Run) -> None:
    """Publish a generation."""
    run.publish()


@flow(name="journeyflow-nightly", persist_result=False)
def nightly(config_path: Path, as_of: datetime | None = None) -> RunReport:
    """Run the project of a `journeyflow.yml`, and return the report that `journeyflow run` prints.

    `as_of` is the high-water mark, a time without a zone in UTC; None is the latest accepted event.
    """
    logger = get_run_logger()
    with Run(load_config(config_path), as_of=naive_utc(as_of)) as run:
        for phase in (load, stitch, classify, build, check, publish):
            phase(run)
        report = run.report()
    for sentence in report.empty_maps:
        logger.error(sentence)
    for alert in report.alerts:
        logger.warning(alert)
    _leave_artifacts(report)
    return report


def naive_utc(instant: datetime | None) -> datetime | None:
    """Return an instant as naive UTC, as `Run` takes it."""
    from datetime import UTC

    return instant.astimezone(UTC).replace(tzinfo=None) if instant and instant.tzinfo else instant


def _leave_artifacts(report: RunReport) -> None:
    """Leave a table of the greatest drop-offs and a summary of the run in Prefect's interface."""
    with journeyflow.open(report.generation) as published:
        rows = published.sql(DROP_OFFS.replace("$1", str(MOST_DROP_OFFS))).to_dicts()
    create_table_artifact(table=rows, key="journeyflow-drop-offs", description="Steps that lose the most people")
    create_markdown_artifact(markdown=summary(report), key="journeyflow-run", description="What the last run did")


def summary(report: RunReport) -> str:
    """Return a run as a page of Markdown, the briefing first."""
    counts = ("record", "accepted", "quarantined", "duplicate", "filtered", "erased")
    lines = [
        f"# Run {report.run_id}: {report.status}",
        *briefing_lines(report.briefing),
        "",
        f"{report.event_count:,} events up to {report.high_water_at} UTC, {report.check_count:,} checks passed, "
        f"{report.elapsed_seconds:,.1f} s.",
        "",
        "| records read | " + " | ".join(counts[1:]) + " |",
        "|" + "---|" * len(counts),
        "| " + " | ".join(f"{getattr(report, f'{name}_count'):,}" for name in counts) + " |",
        "",
        "| phase | seconds |",
        "|---|---|",
        *(f"| {phase} | {seconds:,.1f} |" for phase, seconds in report.phase_seconds.items()),
        "",
        *(f"- **Look at:** {alert}" for alert in report.alerts),
        *(f"- **Warning:** {warning}" for warning in report.warnings),
    ]
    return "\n".join(lines)


def serve_nightly(config_path: Path, cron: str, say: Callable[[str], object]) -> None:
    """Stay in the foreground and run on a schedule, one run at a time, until Ctrl-C or SIGTERM.

    `cron` has five fields, read in the time zone of the configuration. `say` is called with what happens. InputError
    when `cron` is no schedule.
    """
    settings = load_config(config_path)
    try:
        schedule = Cron(cron, timezone=settings.timezone)
    except ValueError as error:
        raise InputError(f"--cron {cron!r} is no schedule: give five fields, such as '0 2 * * *'.") from error
    say(f"Schedule of {config_path}: {cron} ({settings.timezone})")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Prefect ends by SystemExit after SIGTERM, and by KeyboardInterrupt only before it waits for runs.
    with suppress(KeyboardInterrupt, SystemExit), configured_or_local(settings.state / PREFECT_FOLDER, say):
        # Imported here, for Ctrl-C amid the import of a library may end the process by the signal.
        importlib.import_module("prefect.runner")
        say("Waiting for the next run; stop with Ctrl-C.")
        nightly.serve(
            name=f"nightly-{config_path.parent.name}",
            schedule=schedule,
            parameters={"config_path": str(config_path)},
            global_limit=1,
            print_starting_message=False,
        )
    say("Stopped. The last published version stays available.")


def main() -> None:
    """Run once from the command line, and exit with a code of `journeyflow.errors.ExitCode`."""
    import argparse

    parser = argparse.ArgumentParser(
        description="Run a project once, as a Prefect flow. Exits with the codes of `journeyflow run`.",
        epilog="Examples: python nightly.py; python nightly.py --config shop/journeyflow.yml --as-of 2026-03-31",
    )
    parser.add_argument("--config", type=Path, default=Path("journeyflow.yml"), help="the configuration")
    parser.add_argument("--as-of", type=datetime.fromisoformat, help="ignore events after this time, UTC")
    parser.add_argument("--fail-on-alert", action="store_true", help="exit with 7 when the run raised an alert")
    chosen = parser.parse_args()
    guarded(lambda: _run_once(chosen.config, chosen.as_of, fail_on_alert=chosen.fail_on_alert))


def _run_once(config_path: Path, as_of: datetime | None, *, fail_on_alert: bool) -> None:
    load_config(config_path)  # A wrong configuration is reported before a server is started.
    report = nightly(config_path, as_of=as_of)
    sys.stdout.write(f"Published {report.run_id}: {report.event_count:,} events up to {report.high_water_at} UTC\n")
    if report.alerts and fail_on_alert:
        sys.exit(ExitCode.ALERT)


if __name__ == "__main__":
    main()
