"""The command line application: every command with its examples, in the order of the help."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated

import typer

from journeyflow.cli import erase, init, maintenance, query, report, run
from journeyflow.cli.output import DEBUG_VARIABLE

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Customer-journey maps, funnels and drop-off from clickstream events, on DuckDB.",
    epilog="Start with: journeyflow demo",
)


def _show_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"journeyflow {version('journeyflow')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar=DEBUG_VARIABLE, help="Show the traceback of an error.")
    ] = False,
) -> None:
    """Apply the options that precede the command."""
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"


def _add(group: typer.Typer, name: str, command: Callable[..., None], *examples: str, hidden: bool = False) -> None:
    epilog = "\n\n".join(["Examples:", *(f"$ {line}" for line in examples)])
    group.command(name, epilog=epilog, hidden=hidden)(command)


_add(app, "demo", run.demo, "journeyflow demo", "journeyflow demo --folder trial")
_add(
    app,
    "init",
    init.init,
    "journeyflow init",
    "journeyflow init data/events.csv.gz",
    "journeyflow init exports/ crm.csv --no-questions",
)
_add(
    app,
    "check",
    init.check,
    "journeyflow check",
    "journeyflow check --trial",
    "journeyflow check -c shop/journeyflow.yml --json",
)
_add(app, "suggest", init.suggest, "journeyflow suggest", "journeyflow suggest --json")
_add(app, "schema", init.schema, "journeyflow schema > journeyflow.schema.json")
_add(
    app,
    "run",
    run.run,
    "journeyflow run",
    "journeyflow run --full-refresh",
    "journeyflow run --as-of 2026-03-31",
    "journeyflow run --memory 4GB --json",
    "journeyflow run --select '+marts.promises'",
)
_add(
    app, "plan", run.plan, "journeyflow plan", "journeyflow plan --verbose", "journeyflow plan --select '+marts.paths'"
)
_add(app, "status", maintenance.status, "journeyflow status", "journeyflow status --json")
_add(app, "serve", run.serve, "journeyflow serve --cron '0 2 * * *'")
_add(
    app,
    "report",
    report.report,
    "journeyflow report --open",
    "journeyflow report --format xlsx --output maps.xlsx",
    "journeyflow report --format md --model shop",
    "journeyflow report --format png --persona student --period 2026-03",
)
_add(
    app,
    "funnel",
    query.funnel,
    "journeyflow funnel",
    "journeyflow funnel checkout",
    "journeyflow funnel checkout --persona student --period 2026-03",
)
_add(
    app,
    "drop-offs",
    query.drop_offs,
    "journeyflow drop-offs checkout",
    "journeyflow drop-offs checkout --step cart --top 3",
)
_add(
    app,
    "opportunities",
    report.opportunities,
    "journeyflow opportunities",
    "journeyflow opportunities --persona student --limit 3",
    "journeyflow opportunities --model four_stage --period 2026-03 --format csv",
)
_add(
    app,
    "pain-points",
    report.pain_points,
    "journeyflow pain-points",
    "journeyflow pain-points --persona student --period 2026-03",
    "journeyflow pain-points --limit 0 --format json",
)
_add(
    app,
    "query",
    query.query,
    'journeyflow query "select * from personas"',
    'journeyflow query "from paths" --format csv --output paths.csv',
    'journeyflow query --build "from kernel.journeys"',
)
_add(app, "doctor", maintenance.doctor, "journeyflow doctor", "journeyflow doctor --json")
_add(app, "rebuild", maintenance.rebuild, "journeyflow rebuild", "journeyflow rebuild --as-of 2026-03-31")
_add(app, "verify", maintenance.verify, "journeyflow verify", "journeyflow verify --json")
_add(app, "compact", maintenance.compact, "journeyflow compact")
_add(
    app,
    "erase",
    erase.erase,
    "journeyflow erase --ids-from requests.txt --dry-run",
    "journeyflow erase --ids-from - --yes",
    "journeyflow erase --user-id 4711",
)
_add(app, "forget", erase.erase, hidden=True)  # The command's former name.

_explain = typer.Typer(
    no_args_is_help=True,
    help="Explain why an event is in its stage, why a person counts as dropped, or what an opportunity rests on.",
)
_add(_explain, "event", query.event, "journeyflow explain event 8f3c21")
_add(_explain, "person", query.person, "journeyflow explain person c-1042 --funnel checkout")
_add(
    _explain,
    "opportunity",
    report.explain_opportunity,
    "journeyflow explain opportunity 1",
    "journeyflow explain opportunity 2 --persona student --json",
)
_add(_explain, "pain-point", report.explain_pain_point, "journeyflow explain pain-point 1 --period 2026-03")
app.add_typer(_explain, name="explain")

_quarantine = typer.Typer(no_args_is_help=True, help="List quarantined records, or have their files loaded again.")
_add(
    _quarantine,
    "list",
    maintenance.list_rows,
    "journeyflow quarantine list",
    "journeyflow quarantine list --source web --rows --format csv -o rows.csv",
)
_add(
    _quarantine,
    "replay",
    maintenance.replay,
    "journeyflow quarantine replay",
    "journeyflow quarantine replay --source web",
)
app.add_typer(_quarantine, name="quarantine")
