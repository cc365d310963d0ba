"""`query`, `funnel`, `drop-offs` and `explain`: reading what was published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from journeyflow.errors import NotFoundError

if TYPE_CHECKING:
    import polars as pl

_FUNNELS = """
    select funnel, kind, unit, count(*) as step_count, max(person_count) as person_count
    from funnel_steps where persona = 'all' and period = 'all' group by all order by kind, funnel
"""


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command(
        epilog=examples(
            'journeyflow query "select * from personas"',
            'journeyflow query "from drop_offs where persona = \'all\'" --format csv --output drop_offs.csv',
        )
    )(query)
    app.command(
        epilog=examples(
            "journeyflow funnel",
            "journeyflow funnel checkout",
            "journeyflow funnel checkout --persona student --period 2026-03",
        )
    )(funnel)
    app.command("drop-offs", epilog=examples("journeyflow drop-offs checkout", "journeyflow drop-offs checkout --step cart"))(
        drop_offs
    )


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

    write_frame(_open(config, published).sql(sql), form, output, limit or None)


def funnel(
    name: Annotated[str | None, typer.Argument(help="A funnel or a journey model; none lists them.")] = None,
    persona: PersonaOption = "all",
    period: PeriodOption = "all",
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    published: PublishedOption = None,
) -> None:
    """Show a funnel step by step: who went on, who still may, who left."""
    from journeyflow.cli.frames import console, print_frame
    from journeyflow.cli.screens import print_funnel

    marts = _open(config, published)
    if name is None:
        return print_frame(marts.sql(_FUNNELS))
    steps = _of(marts, "funnel_steps", name, persona, period).sort("step_index")
    if as_json:
        typer.echo(steps.write_json())
    else:
        print_funnel(steps, console())
    return None


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
    import polars as pl

    from journeyflow.cli.frames import console
    from journeyflow.cli.screens import print_drop_offs

    marts = _open(config, published)
    steps = _of(marts, "funnel_steps", name, persona, period).sort("step_index")
    chosen = steps.filter(pl.col("step") == step) if step else steps.head(-1)
    if chosen.is_empty():
        raise NotFoundError(_unknown("step", step, steps["step"].to_list()))
    tables = [_rows(marts, table, name, persona, period) for table in ("drop_offs", "drop_off_next")]
    for index, label in chosen.select("step_index", "step").iter_rows():
        touchpoints, next_actions = (
            table.filter(pl.col("step_index") == index).sort("drop_off_count", descending=True, maintain_order=True)
            for table in tables
        )
        print_drop_offs(label, touchpoints.head(top), next_actions.head(top), console())


def _open(config: Path, published: Path | None) -> Any:
    """Return the published tables of a folder, or of the folder that a configuration names."""
    import journeyflow

    if published is None:
        from journeyflow.config import load_config

        published = load_config(config).publish
    return journeyflow.open(published)


def _of(marts: Any, table: str, name: str, persona: str, period: str) -> pl.DataFrame:
    """Return a funnel's rows; where there are none, say which of the three names is unknown."""
    rows = _rows(marts, table, name, persona, period)
    if rows.is_empty():
        raise NotFoundError(_nothing_found(marts.table(table), {"funnel": name, "persona": persona, "period": period}))
    return rows


def _rows(marts: Any, table: str, name: str, persona: str, period: str) -> pl.DataFrame:
    import polars as pl

    rows: pl.DataFrame = marts.table(table).filter(
        (pl.col("funnel") == name) & (pl.col("persona") == persona) & (pl.col("period") == period)
    )
    return rows


def _nothing_found(rows: pl.DataFrame, wanted: dict[str, str]) -> str:
    for column, value in wanted.items():
        known = rows[column].unique().sort().to_list()
        if value not in known:
            return _unknown(column, value, known)
    return "Nobody entered this funnel with that persona in that period."


def _unknown(what: str, value: str | None, known: list[str]) -> str:
    from difflib import get_close_matches

    like = get_close_matches(value or "", known, n=1)
    hint = f" Did you mean {like[0]!r}?" if like else ""
    return f"There is no {what} {value!r} in the published tables; there is: {', '.join(known)}.{hint}"
