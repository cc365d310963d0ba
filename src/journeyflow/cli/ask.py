"""`query`, `funnel`, `drop-offs` and `explain`: reading what was published."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from journeyflow.cli.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    Format,
    JsonOption,
    PeriodOption,
    PersonaOption,
    PublishedOption,
    examples,
)

_FUNNELS = """
    select funnel, kind, unit, max(step_index) as step_count, max(person_count) as person_count
    from funnel_steps where persona = 'all' and period = 'all' group by funnel, kind, unit order by kind, funnel
"""
explainers = typer.Typer(
    no_args_is_help=True, help="Say why an event is in its stage, or why a person counts as dropped."
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command(
        epilog=examples(
            "journeyflow funnel",
            "journeyflow funnel checkout",
            "journeyflow funnel checkout --persona student --period 2026-03",
        )
    )(funnel)
    app.command(
        "drop-offs",
        epilog=examples("journeyflow drop-offs checkout", "journeyflow drop-offs checkout --step cart --top 3"),
    )(drop_offs)
    app.command(
        epilog=examples(
            'journeyflow query "select * from personas"',
            'journeyflow query "from paths" --format csv --output paths.csv',
        )
    )(query)
    explainers.command("event", epilog=examples("journeyflow explain event 8f3c21"))(event)
    explainers.command("person", epilog=examples("journeyflow explain person c-1042 --funnel checkout"))(person)
    app.add_typer(explainers, name="explain")


def funnel(
    name: Annotated[
        str | None, typer.Argument(help="A funnel or a journey model; none lists them.", show_default=False)
    ] = None,
    persona: PersonaOption = "all",
    period: PeriodOption = "all",
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    published: PublishedOption = None,
) -> None:
    """Show a funnel step by step: who went on, who still may, who left."""
    from journeyflow.cli.frames import console, print_frame
    from journeyflow.cli.marts import open_marts, steps_of
    from journeyflow.cli.screens import print_funnel

    with open_marts(config, published) as marts:
        if name is None:
            print_frame(marts.sql(_FUNNELS))
            return
        steps = steps_of(marts, name, persona, period)
    if as_json:
        typer.echo(steps.write_json())
    else:
        print_funnel(steps, console())


def drop_offs(
    name: Annotated[str, typer.Argument(metavar="FUNNEL", help="A funnel or a journey model.")],
    step: Annotated[str | None, typer.Option("--step", help="Only the people who left at this step.")] = None,
    top: Annotated[int, typer.Option("--top", help="Most rows a step.", min=1)] = 8,
    persona: PersonaOption = "all",
    period: PeriodOption = "all",
    config: ConfigOption = DEFAULT_CONFIG,
    published: PublishedOption = None,
) -> None:
    """Show where people left a funnel, from which touchpoint, and what they did next."""
    from journeyflow.cli.frames import console
    from journeyflow.cli.marts import matching, open_marts, require_known, steps_of
    from journeyflow.cli.screens import print_drop_offs

    with open_marts(config, published) as marts:
        steps = steps_of(marts, name, persona, period).head(-1)
        if step is not None:
            require_known("step with drop-off", step, steps["step"].to_list())
        tables = [matching(marts, table, name, persona, period) for table in ("drop_offs", "drop_off_next")]
    for row in steps.to_dicts():
        if step in (None, row["step"]):
            print_drop_offs(row, *tables, top=top, out=console())


def query(
    sql: Annotated[str, typer.Argument(help="A SELECT over the published tables.")],
    form: Annotated[Format, typer.Option("--format", "-f", help="How to write the rows.")] = Format.TABLE,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; else the terminal.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="Most rows of a table on the terminal; 0 is all.", min=0)] = 50,
    config: ConfigOption = DEFAULT_CONFIG,
    published: PublishedOption = None,
) -> None:
    """Ask the published tables in SQL; nothing can be changed."""
    from journeyflow.cli.frames import write_frame
    from journeyflow.cli.marts import open_marts

    with open_marts(config, published) as marts:
        write_frame(marts.sql(sql), form, output, limit or None)


def event(
    event_id: Annotated[str, typer.Argument(help="The source's id of the event.")],
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Say why an event is in its stage, in every journey model."""
    from journeyflow.cli.explanations import as_text, print_events
    from journeyflow.cli.frames import console
    from journeyflow.config import load_config
    from journeyflow.explain import explain_event

    explained = explain_event(load_config(config), event_id)
    if as_json:
        typer.echo(as_text(explained))
    else:
        print_events(explained, console())


def person(
    person_id: Annotated[str, typer.Argument(help="A published person_id, a user_id or an anonymous_id.")],
    funnel: Annotated[str, typer.Option("--funnel", help="A funnel or a journey model.")],
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Say how far a person came in a funnel, and why it ended there."""
    from journeyflow.cli.explanations import as_text, print_person
    from journeyflow.cli.frames import console
    from journeyflow.config import load_config
    from journeyflow.explain import explain_person

    explained = explain_person(load_config(config), person_id, funnel)
    if as_json:
        typer.echo(as_text(explained))
    else:
        print_person(explained, console())
