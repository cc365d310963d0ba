"""The command line application: every command with its examples, in the order of the help."""

from __future__ import annotations

import os
import re
from collections import UserDict, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Annotated, Any

import typer
from typer.core import DEFAULT_MARKUP_MODE, TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command_from_info
from typer.models import CommandInfo

from journeyflow.cli import analyses, init, maintenance, mcp, query, report, run, tables
from journeyflow.cli.maintenance import erase
from journeyflow.cli.output import DEBUG_VARIABLE, INTERRUPTED, listing
from journeyflow.errors import ExitCode
from journeyflow.utils.formatting import escaped

_CONCEPTS = {
    "retention": "cohort cohorts returning churn loyalty repeat lifecycle",
    "referrals": "referral refer invite invitation recommend viral bring",
    "trend": "timeline history weekly monthly",
    "tables": "marts list ls show schemas catalog datasets models",
    "describe": "columns desc dictionary info table",
    "serve": "watch schedule scheduler cron daemon nightly start",
    "run": "build update refresh load ingest execute publish process sync",
    "report": "map page html pdf dashboard visualize plot chart pptx",
    "ui": "browse browser web viewer gui app explore notebook studio",
    "query": "sql select duckdb",
    "export": "download dump csv excel xlsx parquet save",
    "paths": "flow flows sankey journeys sequences transitions",
    "personas": "segments segment people persons audience",
    "touchpoints": "channels contacts stages",
    "changes": "decompose decomposition why attribution-of-change waterfall shapley",
    "attribution": "marketing spend roas roi campaigns credit mta",
    "compare": "diff difference versus vs ab test",
    "funnel": "conversion conversions steps",
    "drop-offs": "exits abandonment leaks churn",
    "opportunities": "insights recommendations findings advice",
    "events": "log find search ids",
    "check": "validate lint verify-config config",
    "status": "runs logs state",
    "erase": "delete remove gdpr rm",
    "init": "new create setup",
    "doctor": "health diagnose",
    "mcp": "agent assistant llm ai chat",
}
"""Command → words that a person may type for it, of other tools and of the field."""


class _Commands(UserDict[str, Any]):
    """Commands by name, each built from its function when it is read: building all takes as long as many a query."""

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - private types of typer
        found = super().__getitem__(name)
        if isinstance(found, CommandInfo):
            found = get_command_from_info(found, pretty_exceptions_short=False, rich_markup_mode=DEFAULT_MARKUP_MODE)
            self[name] = found
        return found


_ALLOWED = {
    "int_parsing": "give a whole number",
    "float_parsing": "give a number",
    "greater_than_equal": "give at least {ge}",
    "less_than_equal": "give at most {le}",
    "value_error": "{error}",
}
"""What a value must be, by the kind of error of pydantic, which typer reads values with."""


_OF_PERSONS = {"erase", "forget", "explain"}
"""Commands whose arguments are ids, which no error shows."""


def _usage_message(error: Any, group: Any) -> str:  # noqa: ANN401 - private types of typer
    """Return in our words what is wrong on the command line, where, and what to do; `group` is of the command."""
    path = "journeyflow"
    if error.ctx or group:
        path = error.ctx.command_path if error.ctx else f"{group.command_path} {group.invoked_subcommand}"
    parameter: Any = getattr(error, "param", None)
    kind, text = type(error).__name__, error.message.rstrip(".")
    place = "" if parameter is None else max(parameter.opts, key=len)
    if parameter is not None and parameter.param_type_name == "argument":
        place = parameter.metavar or place
    if kind == "NoSuchOption":
        text = f"{path} has no option {error.option_name}"
        if argument := _argument_named(error.option_name, error.ctx):
            text += f"; it is an argument: {path} {argument}"
        elif error.possibilities:
            text += f"; did you mean {' or '.join(error.possibilities)}?"
    elif kind == "MissingParameter":
        text = f"{path} needs {place}: {parameter.help.rstrip('.')}"
    elif kind == "BadOptionUsage":
        text = f"{error.option_name} {'takes no value' if 'not take' in text else 'needs a value after it'}"
    elif path == "journeyflow explain" and re.fullmatch("No such command '.*'", text):
        text = f"{path} has no such command; there is {', '.join(_ADDED['explain'])}"
    elif extra := re.fullmatch(r"Got unexpected extra argument\(?s?\)? \((.*)\)", text):
        text = f"{path} takes no further argument"
        text += "" if _OF_PERSONS & {*path.split()} else f"; there is {extra[1]!r}"
    elif reason := next(iter(getattr(error.__cause__, "errors", list)()), None):
        allowed = _ALLOWED.get(reason["type"])
        text = f"{place}: {allowed.format(**reason.get('ctx', {})).rstrip('.') if allowed else text}"
    elif place and place not in text:
        text = f"{place}: {text}"
    text = text.replace("No such command", "there is no command") + ("" if text.endswith("?") else ".")
    return f"{text} See: {path} --help"


def _argument_named(option: str, context: Any) -> str | None:  # noqa: ANN401 - private types of typer
    """Return the argument of the command that is called as `option` is without its dashes."""
    arguments = (each for each in context.command.params if each.param_type_name == "argument") if context else ()
    return next((each.name.upper() for each in arguments if f"--{each.name}" == option), None)


@contextmanager
def _in_own_words(group: Any) -> Iterator[None]:  # noqa: ANN401 - private types of typer
    """Print a mistake on the command line as every error is printed, and leave with its code."""
    try:
        yield
    except TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            raise
        typer.echo(f"journeyflow: {escaped(_usage_message(error, group))}", err=True)
        raise typer.Exit(ExitCode.CONFIGURATION) from error


class CommandGroup(TyperGroup):
    """A group that answers an unknown command with the commands that are near it in spelling or in meaning."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - private types of typer
        super().__init__(**attributes)
        self.commands = _Commands({**_ADDED[self.name or ""], **self.commands})

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - private types of typer
        """Return the names in the order of the help."""
        return list(self.commands)

    def make_context(self, *given: Any, **extra: Any) -> Any:  # noqa: ANN401 - private types of typer
        """Read the options of the group."""
        with _in_own_words(extra.get("parent")):
            return super().make_context(*given, **extra)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - private types of typer
        """Read the options of the command and call it."""
        with _in_own_words(ctx):
            return super().invoke(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - private types of typer
        """Return the command of `args`; the error of an unknown one names the nearest."""
        word = args[0].lower()
        meant = [name for name, words in _CONCEPTS.items() if name in self.commands and word in words.split()]
        if meant and args[0] not in self.commands and not ctx.resilient_parsing:
            names = " or ".join(repr(name) for name in meant)
            ctx.fail(f"No such command {args[0]!r}. Did you mean {names}?")
        return super().resolve_command(ctx, args)


_ADDED: defaultdict[str, dict[str, CommandInfo]] = defaultdict(dict)
"""Group → command → what it is built from."""
app = typer.Typer(
    name="",
    cls=CommandGroup,
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


_ENDS = {
    0: "done",
    1: "failed",
    2: "the command line or the configuration is wrong",
    3: "an input is missing or cannot be read",
    4: "a run is in progress",
    5: "a check failed and nothing was published",
    6: "there is no such name, or nothing is published",
    7: "an alert, with --fail-on-alert",
    8: "a table differs",
    9: "a file was refused, with --fail-on-refusal",
    10: "the map says nothing",
}
"""What an exit code means; `docs/reference/exit-codes.md` says more."""
_CODES = {
    "run": "3 4 5 6 7 9 10",
    "serve": "3 4",
    "rebuild": "3 4 5",
    "verify": "3 4 5 6 8",
    "erase": "3 4 5 6",
    "compact": "3 4",
    "list": "4 6",
    "check": "3 10",
    "init": "3",
    "demo": "3 5",
    "export": "3 6",
    "replay": "3 4 6",
    **dict.fromkeys(("retention", "query", "events", "event", "person", "suggest"), "3 6"),
    **dict.fromkeys(("schema", "doctor", "status", "plan", "warm-up"), ""),
}
"""Exit codes of a command beside 0, 1, 2 and 130; of those that read results 6."""


def _add(group: typer.Typer, name: str, command: Callable[..., None], *examples: str, hidden: bool = False) -> None:
    codes = [0, 1, 2, *map(int, _CODES.get(name, "6").split())]
    ends = f"Exit codes: {', '.join(f'{code} {_ENDS[code]}' for code in sorted(set(codes)))}."
    epilog = "\n\n".join(["Examples:", *(f"$ {line}" for line in examples), ends])
    group.command(name, epilog=epilog, hidden=hidden, rich_help_panel=_panel(group, name))(_telling(command))
    _ADDED[str(group.info.name)][name] = group.registered_commands.pop()


def _telling(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command say that it was interrupted, where typer would end without a word."""

    @wraps(command)
    def telling(*arguments: Any, **options: Any) -> None:  # noqa: ANN401 - the arguments of any command
        try:
            command(*arguments, **options)
        except KeyboardInterrupt:
            typer.echo(f"journeyflow: {INTERRUPTED}", err=True)
            raise typer.Exit(ExitCode.INTERRUPTED) from None

    return telling


_PANELS = {
    "Set up and run": "demo init check suggest schema run plan serve warm-up",
    "Read the results": (
        "report ui funnel drop-offs trend retention referrals paths personas touchpoints attribution changes alerts "
        "forecast compare opportunities pain-points actions audiences what-if"
    ),
    "Look deeper": "tables describe query export events explain mcp",
    "Operate": "status doctor rebuild verify compact erase quarantine",
}
"""Commands under each heading of the help."""


def _panel(group: typer.Typer, name: str) -> str | None:
    return next((title for title, names in _PANELS.items() if name in names.split() and group is app), None)


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
_add(app, "ui", report.ui, "journeyflow ui", "journeyflow ui --port 0 --no-browser")
_add(
    app,
    "funnel",
    query.funnel,
    "journeyflow funnel",
    "journeyflow funnel checkout",
    "journeyflow funnel checkout --persona student --period 2026-03",
    "journeyflow funnel checkout --format csv --output checkout.csv",
)
_add(
    app,
    "drop-offs",
    query.drop_offs,
    "journeyflow drop-offs checkout",
    "journeyflow drop-offs checkout --step cart --top 3",
    "journeyflow drop-offs checkout --persona student --json",
)
_add(
    app,
    "trend",
    listing(tables.trend, most=60),
    "journeyflow trend",
    "journeyflow trend checkout --by month",
    "journeyflow trend checkout --persona student --by day --format csv",
)
_add(
    app,
    "retention",
    listing(analyses.retention, most=None),
    "journeyflow retention",
    "journeyflow retention first_event --persona student",
    "journeyflow retention --channel app --rule on_or_after",
    "journeyflow retention --repeat --format csv",
    "journeyflow retention --lifecycle",
)
_add(
    app,
    "referrals",
    listing(analyses.referrals, most=None),
    "journeyflow referrals",
    "journeyflow referrals --format csv",
)
_add(
    app,
    "paths",
    listing(tables.paths),
    "journeyflow paths",
    "journeyflow paths --persona student --limit 5",
    "journeyflow paths --model four_stage --json",
)
_add(
    app,
    "personas",
    listing(tables.personas, most=None),
    "journeyflow personas",
    "journeyflow personas --discovered",
    "journeyflow personas --json",
)
_add(
    app,
    "touchpoints",
    listing(tables.touchpoints, most=40),
    "journeyflow touchpoints",
    "journeyflow touchpoints --stage decision --persona student",
    "journeyflow touchpoints --period 2026-03 --format csv",
)
_add(
    app,
    "attribution",
    listing(analyses.attribution, most=40),
    "journeyflow attribution",
    "journeyflow attribution order --method every",
    "journeyflow attribution --persona student --paths",
)
_add(
    app,
    "changes",
    listing(analyses.changes),
    "journeyflow changes checkout",
    "journeyflow changes checkout --period 2026-03 --by channel",
    "journeyflow changes shop --all --format csv",
)
_add(
    app,
    "alerts",
    listing(analyses.alerts),
    "journeyflow alerts",
    "journeyflow alerts checkout --days 28",
    "journeyflow alerts --days 7 --format csv",
)
_add(
    app,
    "forecast",
    listing(analyses.forecast),
    "journeyflow forecast",
    "journeyflow forecast checkout --persona student",
    "journeyflow forecast --scores --format csv",
)
_add(
    app,
    "compare",
    listing(tables.compare),
    "journeyflow compare student family",
    "journeyflow compare student everybody --model shop",
    "journeyflow compare 2026-02 2026-03 --persona student",
    "journeyflow compare --day 2026-03-15 --days 28 --all",
)
_add(
    app,
    "opportunities",
    listing(report.opportunities, most=10),
    "journeyflow opportunities",
    "journeyflow opportunities --persona student --limit 3",
    "journeyflow opportunities --model four_stage --period 2026-03 --format csv",
)
_add(
    app,
    "pain-points",
    listing(report.pain_points, most=10),
    "journeyflow pain-points",
    "journeyflow pain-points --persona student --period 2026-03",
    "journeyflow pain-points --format json",
)
_add(app, "actions", listing(analyses.actions, most=None), "journeyflow actions", "journeyflow actions --json")
_add(app, "audiences", listing(analyses.audiences, most=None), "journeyflow audiences", "journeyflow audiences --json")
_add(
    app,
    "what-if",
    listing(analyses.what_if, most=None),
    "journeyflow what-if",
    "journeyflow what-if --stage decision --fix 25%",
    "journeyflow what-if --model shop --persona student --json",
)
_add(app, "tables", listing(tables.tables, most=None), "journeyflow tables", "journeyflow tables --json")
_add(
    app,
    "describe",
    listing(tables.describe, most=None),
    "journeyflow describe funnel_steps",
    "journeyflow describe touchpoints --format csv",
)
_add(
    app,
    "query",
    query.query,
    'journeyflow query "select * from personas"',
    'journeyflow query "from paths" --format csv --output paths.csv',
    'journeyflow query --build "from kernel.journeys"',
)
_add(
    app,
    "export",
    tables.export,
    "journeyflow export",
    "journeyflow export tables --format xlsx",
    "journeyflow export tables --format parquet --table paths --force",
)
_add(
    app,
    "events",
    query.events,
    "journeyflow events",
    "journeyflow events --name purchase --since 2026-03-01 --until 2026-04-01",
    "journeyflow events --person c01921 --stage decision --json",
)
_add(app, "status", maintenance.status, "journeyflow status", "journeyflow status --json")
_add(app, "doctor", maintenance.doctor, "journeyflow doctor", "journeyflow doctor --json")
_add(app, "rebuild", maintenance.rebuild, "journeyflow rebuild", "journeyflow rebuild --as-of 2026-03-31")
_add(app, "verify", maintenance.verify, "journeyflow verify", "journeyflow verify --json")
_add(app, "compact", maintenance.compact, "journeyflow compact")
_add(app, "warm-up", maintenance.warm_up, "journeyflow warm-up")
_add(
    app,
    "erase",
    erase,
    "journeyflow erase --ids-from requests.txt --dry-run",
    "journeyflow erase --ids-from - --yes",
    "journeyflow erase --user-id 4711",
)
_add(app, "forget", erase, hidden=True)  # The command's former name.

_add(app, "mcp", mcp.mcp, "journeyflow mcp", "journeyflow mcp -c shop/journeyflow.yml")
_explain = typer.Typer(
    name="explain",
    cls=CommandGroup,
    no_args_is_help=True,
    help="Explain why an event is in its stage, why a person counts as dropped, or what an opportunity rests on.",
)
_add(_explain, "event", query.event, "journeyflow explain event w000207")
_add(
    _explain,
    "person",
    query.person,
    "journeyflow explain person c01921",
    "journeyflow explain person c01921 --funnel checkout",
)
_add(
    _explain,
    "opportunity",
    report.explain_opportunity,
    "journeyflow explain opportunity 1",
    "journeyflow explain opportunity 2 --persona student --json",
)
_add(_explain, "pain-point", report.explain_pain_point, "journeyflow explain pain-point 1 --period 2026-03")
app.add_typer(_explain, rich_help_panel=_panel(app, "explain"))

_quarantine = typer.Typer(
    name="quarantine",
    cls=CommandGroup,
    no_args_is_help=True,
    help="List quarantined records, or have their files loaded again.",
)
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
app.add_typer(_quarantine, rich_help_panel=_panel(app, "quarantine"))
