"""Lists of published tables: `paths`, `attribution`, `trend`, `retention`, `changes`, …; `export`."""

from __future__ import annotations

import json
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from journeyflow.cli.output import (
    DEFAULT_CONFIG,
    ConfigOption,
    Format,
    JsonOption,
    Listing,
    ModelOption,
    PeriodOption,
    PersonaOption,
    PublishedOption,
    in_columns,
    text_column,
)
from journeyflow.errors import InputError, require_known
from journeyflow.utils.formatting import count, percent

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from journeyflow.publish.reader import PublishedTables


def tables(marts: PublishedTables) -> Listing:
    """List the published tables: their rows, and what a row is."""
    import polars as pl

    rows = marts.sql(_TABLES)
    counts = [marts.manifest.tables[name].row_count for name in rows["table"].to_list()]
    found = rows.with_columns(row_count=pl.Series(counts, dtype=pl.Int64)).select(
        "table", "row_count", "summary", "meaning"
    )
    show = in_columns(table="table", row_count="rows", summary="what it holds")
    return Listing(found, note="The columns of one: journeyflow describe TABLE", show=show)


_TABLES = """
    select
        table_name as "table",
        rtrim(string_split(split_part(comment, ' One row per ', 1), '. ')[1], '.') as summary,
        comment as meaning
    from duckdb_tables() order by table_name
"""


def describe(marts: PublishedTables, table: Annotated[str, typer.Argument(help="A published table.")]) -> Listing:
    """Describe a published table: what a row is, and the type, unit and meaning of each column."""
    marts.require(table)
    rows = marts.sql(_COLUMNS, [table])
    (comment,) = marts.sql("select comment from duckdb_tables() where table_name = $1", [table])["comment"]
    title = f"{table}, {count(marts.manifest.tables[table].row_count)} rows. {comment or ''}"
    show = in_columns(column="column", type="type", unit="unit", meaning="meaning")
    return Listing(rows, title, f'The rows: journeyflow query "from {table}"', show)


_COLUMNS = """
    select column_name as "column", data_type as type,
        coalesce(regexp_extract(comment, ' \\[([^\\]]+)\\]$', 1), '') as unit,
        coalesce(regexp_replace(comment, ' \\[[^\\]]+\\]$', ''), '') as meaning
    from duckdb_columns() where table_name = $1 order by column_index
"""


def paths(marts: PublishedTables, model: ModelOption = None, persona: PersonaOption = "all") -> Listing:
    """List the most frequent paths through the stages, and how many of their journeys reached a goal."""
    rows = marts.sql(_PATHS, [model, persona])
    show = in_columns(
        path_rank="rank", path="path", journey_count="journeys", share_rate="share", converted_count="reached a goal",
        conversion_rate="of them",
    )  # fmt: skip
    title = f"{model}, {_who(persona)}: {count(int(rows['journey_count'].sum()))} journeys"
    return Listing(
        rows, title, "A person with several journeys counts in each; rare paths are summed in `other`.", show
    )


_PATHS = """
    select path_rank, path, person_count as journey_count, share_rate, converted_count,
        converted_count / nullif(person_count, 0) as conversion_rate
    from paths where model = $1 and persona = $2 order by path_rank
"""


def personas(marts: PublishedTables) -> Listing:
    """List the personas: how many persons, their share of all, and the rule that makes one."""
    rows = marts.sql(_PERSONAS)
    show = in_columns(persona="persona", person_count="persons", share_rate="share", rule="rule", note="note")
    return Listing(rows, "", "Each person counts once, by the latest journey.", show)


_PERSONAS = """
    select persona, person_count, share_rate, coalesce(rule, '') as rule, coalesce(description, '') as description,
        concat_ws(', ', case when is_outcome_based then 'defined by an outcome' end,
            case when is_trait_undated then 'traits of today' end) as note
    from personas order by persona <> 'all', persona = 'unassigned', person_count desc, persona
"""


def touchpoints(
    marts: PublishedTables,
    model: ModelOption = None,
    persona: PersonaOption = "all",
    period: PeriodOption = "all",
    stage: Annotated[str | None, typer.Option("--stage", help="Only touchpoints of this stage.")] = None,
) -> Listing:
    """List the touchpoints of every stage: how many persons they reach, and who went on with and without them."""
    rows = marts.sql(_TOUCHPOINTS, [model, persona, period])
    if stage is not None:
        stages = marts.sql("select distinct stage, stage_index from map_stages where model = $1 order by 2", [model])
        require_known("stage", stage, stages["stage"].to_list())
        rows = rows.filter(rows["stage"] == stage)
    show = in_columns(
        stage="stage", touchpoint="touchpoint", person_count="persons", reach_rate="of the stage",
        next_stage_rate="went on with", next_stage_rate_without="without", lift="lift", interval="95 %",
        q_value="q", mark="",
    )  # fmt: skip
    note = "* beyond chance: q up to 0.05. Lift is an association, not a cause: who is determined meets other things."
    return Listing(rows, f"{model}, {_who(persona)}, {_when(period)}", note, show)


_TOUCHPOINTS = """
    select t.stage, t.touchpoint, t.person_count, t.reach_rate, t.next_stage_rate, t.next_stage_rate_without,
        t.lift, t.lift_low, t.lift_high, printf('%.2f to %.2f', t.lift_low, t.lift_high) as "interval", t.q_value,
        case when t.q_value <= 0.05 then '*' else '' end as mark
    from touchpoints as t
    inner join map_stages as s
        on s.model = t.model and s.persona = t.persona and s.period = t.period and s.stage = t.stage
    where t.model = $1 and t.persona = $2 and t.period = $3
    order by s.stage_index, t.person_count desc, t.touchpoint
"""


def attribution(
    marts: PublishedTables,
    goal: Annotated[
        str | None, typer.Argument(help="A goal; by default the one reached most often.", show_default=False)
    ] = None,
    method: Annotated[
        str, typer.Option("--method", help="How credit is shared, such as linear or last; 'every' lists all.")
    ] = "markov",
    persona: PersonaOption = "all",
    period: PeriodOption = "all",
    paths: Annotated[bool, typer.Option("--paths", help="The paths to the goal instead of the channels.")] = False,
) -> Listing:
    """List the marketing channels that a goal is credited to, what they cost, and how far the methods differ.

    Credit says by which way the goals came. It does not say how many would be missing without the channel.
    """
    goals = marts.sql(_GOALS)["goal"].to_list()
    if goal is not None or not goals:
        require_known("goal", goal or "", goals)
    chosen = goal or goals[0]
    if persona != "all" and period != "all":
        raise typer.BadParameter("personas are of the whole time and months of all persons: give one of the two")
    title = f"{chosen}, {_who(persona)}, {_when(period)}"
    if paths:
        if period != "all":
            raise typer.BadParameter("paths are of the whole time: leave out --period")
        show = in_columns(
            path_rank="rank", path="path", person_count="persons", conversion_count="goals",
            not_converted_count="without", pending_count="pending", value="value",
        )  # fmt: skip
        rows = marts.sql(_GOAL_PATHS, [chosen, persona])
        return Listing(rows, title, "Pending: the look-back after the last touch is not over.", show)
    known = marts.sql("select distinct method from attribution order by method")["method"].to_list()
    require_known("method", method, [*known, "every"])
    rows = marts.sql(_ATTRIBUTION, [chosen, method, persona, period])
    counts = rows.select("goal_count", "not_converted_count", "pending_count").unique().rows()
    if counts:
        reached, lost, pending = (count(int(each)) for each in counts[0])
        title += f": {reached} goals, {lost} paths without, {pending} pending"
    show = in_columns(
        channel="channel", **({"method": "method"} if method == "every" else {}), goals="goals", interval="95 %",
        spread="by all methods", value="value", spent="spent", cost="for a goal", ratio="return",
    )  # fmt: skip
    note = "" if method == "every" else f"Method {method}; all: --method every. "
    note += "The interval is of chance; how far the methods differ is what the choice of one decides."
    return Listing(rows, title, note, show)


_GOALS = """
    select goal from attribution where persona = 'all' and period = 'all'
    group by goal order by max(goal_count) desc, goal
"""
_ATTRIBUTION = """
    select channel, method, cast(conversion_count as double) as conversion_count, conversion_low, conversion_high,
        cast(least_conversion_count as double) as least_conversion_count,
        cast(most_conversion_count as double) as most_conversion_count, cast(value_amount as double) as value_amount,
        cast(spend_amount as double) as spend_amount,
        cast(cost_per_conversion_amount as double) as cost_per_conversion_amount, return_ratio, currency,
        goal_count, not_converted_count, pending_count,
        printf('%.1f', conversion_count) as goals,
        coalesce(printf('%.0f to %.0f', conversion_low, conversion_high), '-') as "interval",
        printf('%.0f to %.0f', least_conversion_count, most_conversion_count) as spread,
        coalesce(format('{:,.0f} ', cast(value_amount as double)) || currency, '-') as "value",
        coalesce(format('{:,.0f}', cast(spend_amount as double)), '-') as spent,
        coalesce(format('{:,.2f}', cast(cost_per_conversion_amount as double)), '-') as cost,
        coalesce(printf('%.2f', return_ratio), '-') as ratio
    from attribution
    where goal = $1 and ($2 = 'every' or method = $2) and persona = $3 and period = $4
    order by channel = 'none', most_conversion_count desc, channel, method
"""
_GOAL_PATHS = """
    select path_rank, path, person_count, cast(conversion_count as bigint) as conversion_count,
        not_converted_count, pending_count, cast(value_amount as double) as value_amount,
        coalesce(format('{:,.2f}', cast(value_amount as double)), '-') as "value"
    from attribution_paths where goal = $1 and persona = $2 order by path_rank
"""


class Step(StrEnum):
    """Lengths of time of `trend`."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def trend(
    marts: PublishedTables,
    funnel: Annotated[
        str | None,
        typer.Argument(help="A funnel or a journey model; by default the first model.", show_default=False),
    ] = None,
    persona: PersonaOption = "all",
    by: Annotated[Step, typer.Option("--by", help="Length of time of a row.")] = Step.WEEK,
) -> Listing:
    """Show a funnel over time: who entered in each week, and how many of them reached the last step."""
    from journeyflow.report.reader import first_model

    name = funnel or first_model(marts)
    require_known("funnel", name, marts.sql("select distinct funnel from funnel_trend order by 1")["funnel"].to_list())
    rows = marts.sql(_TREND, [name, persona, by.value])
    show = in_columns(
        first_day="from", entered_count="entered", reached_count="reached the end", matured_count="entered, matured",
        conversion_rate="conversion", bar="",
    )  # fmt: skip
    bars = _bars(rows["conversion_rate"].to_list())
    title = f"{name}, {_who(persona)}, by {by.value} of entry"
    note = "The conversion is of days whose window is over (matured). Who entered on several days counts on each."
    return Listing(
        rows, title, note, lambda shown, out: show(shown.with_columns(bar=text_column(bars[: shown.height])), out)
    )


_TREND = """
    with days as (
        select entry_date, is_matured, person_count,
            step_index = min(step_index) over () as is_first, step_index = max(step_index) over () as is_last
        from funnel_trend where funnel = $1 and persona = $2
    )
    select cast(date_trunc($3, entry_date) as date) as first_day,
        coalesce(sum(person_count) filter (where is_first), 0)::bigint as entered_count,
        coalesce(sum(person_count) filter (where is_last), 0)::bigint as reached_count,
        coalesce(sum(person_count) filter (where is_first and is_matured), 0)::bigint as matured_count,
        (sum(person_count) filter (where is_last and is_matured))
            / nullif(sum(person_count) filter (where is_first and is_matured), 0) as conversion_rate
    from days group by first_day order by first_day
"""
_BAR = 24


def _bars(rates: list[float | None]) -> list[str]:
    highest = max((rate for rate in rates if rate is not None), default=0.0)
    return ["" if not rate else "#" * max(1, round(rate / highest * _BAR)) for rate in rates]


class Rule(StrEnum):
    """Rules of `retention`."""

    ON = "on"
    ON_OR_AFTER = "on_or_after"


def retention(
    marts: PublishedTables,
    start: Annotated[
        str | None, typer.Argument(help="A start of `cohorts:`; by default the first.", show_default=False)
    ] = None,
    persona: PersonaOption = "all",
    channel: Annotated[str, typer.Option("--channel", help="Only starts in this channel; of all personas.")] = "all",
    rule: Annotated[
        Rule, typer.Option("--rule", help="Back at this age, or at it or a later one.", case_sensitive=False)
    ] = Rule.ON,
    repeat: Annotated[bool, typer.Option("--repeat", help="From each order to the next instead.")] = False,
    lifecycle: Annotated[bool, typer.Option("--lifecycle", help="New, returning and dormant persons instead.")] = False,
) -> Listing:
    """Show who comes back: each cohort at each age since its start; or who orders again, or a month's active persons.

    Only persons who have completed an age are in its rate. `open` marks an age that is not over for all of a cohort.
    """
    if repeat and lifecycle:
        raise typer.BadParameter("choose one of --repeat and --lifecycle")
    if (repeat or lifecycle) and (start is not None or channel != "all" or rule is not Rule.ON):
        raise typer.BadParameter("a start, --channel and --rule are for the triangle, without --repeat and --lifecycle")
    if repeat:
        return _repeats(marts, persona)
    if lifecycle:
        return _lifecycle(marts, persona)
    if persona != "all" and channel != "all":
        raise typer.BadParameter("choose a persona or a channel; no row is of both")
    return _triangle(marts, start, persona, channel, rule)


def _triangle(marts: PublishedTables, start: str | None, persona: str, channel: str, rule: Rule) -> Listing:
    from journeyflow.report.cohorts import LEAST, OPEN, starts_of, triangle

    starts = starts_of(marts)
    name = start or starts[0]
    require_known("start", name, starts)
    channels = marts.sql("select distinct channel from retention where start = $1 order by 1", [name])
    require_known("channel", channel, channels["channel"].to_list())
    rows = marts.sql(_RETENTION, [name, persona, channel, rule.value])

    def show(shown: pl.DataFrame, out: Console) -> None:
        lines = triangle(shown)
        ages = {column: column for column in lines.columns[2:]}
        in_columns(**{"cohort": "cohort", "person_count": "persons"} | ages)(lines, out)

    whose = f", start in {channel}" if channel != "all" else ""
    about = {
        Rule.ON: f"Back at this age, of those who have completed it; `{OPEN}`: not all have, or nobody. "
        "The last row is of those who have completed every age.",
        Rule.ON_OR_AFTER: f"Back at this age or later (Kaplan-Meier); `{LEAST.strip()}`: so far, later ages are open.",
    }
    return Listing(rows, f"{name}, {_who(persona)}{whose}, {rule.value}", about[rule], show)


_RETENTION = """
    select cohort, age_index, rule, person_count, returned_count, not_returned_count, pending_count, matured_count,
        matured_returned_count, last_age_index, retention_rate, retention_low, retention_high, is_small
    from retention where start = $1 and persona = $2 and channel = $3 and rule = $4
    order by cohort = 'all', cohort, age_index
"""


def _repeats(marts: PublishedTables, persona: str) -> Listing:
    rows = marts.sql(
        "from repeat_purchases where persona = $1 order by order_number, period <> 'all', period", [persona]
    )
    show = in_columns(
        order_number="after order", period="of", person_count="persons", ordered_again_count="ordered again",
        pending_count="pending", within_30d_rate="in 30 d", within_60d_rate="60 d", within_90d_rate="90 d",
        within_180d_rate="180 d", p50_seconds="median wait",
    )  # fmt: skip
    note = "Kaplan-Meier: who still waits counts as long as observed. A dash: nobody was observed for so long."
    return Listing(rows, f"From each order to the next, {_who(persona)}", note, show)


def _lifecycle(marts: PublishedTables, persona: str) -> Listing:
    rows = marts.sql("from lifecycle where persona = $1 order by period", [persona])
    show = in_columns(
        period="month", active_count="active", new_count="new", returning_count="returning",
        resurrecting_count="resurrecting", dormant_count="dormant", pending_count="pending", is_open="open",
    )  # fmt: skip
    note = "Active are new, returning and resurrecting. Dormant: active the month before. Pending: not yet, month open."
    return Listing(rows, f"Active persons by month, {_who(persona)}", note, show)


def _who(persona: str) -> str:
    return "all persons" if persona == "all" else f"persona {persona}"


def _when(period: str) -> str:
    return "the whole time" if period == "all" else period


def audiences(marts: PublishedTables) -> Listing:
    """List the audiences: how many are on each list, what changed since the last run, and why others are not on it.

    The lists themselves are private files, a folder for each audience in `audiences` of the state folder.
    """
    rows = marts.sql("select * from audiences order by audience")
    show = in_columns(
        audience="audience", kind="who", subject="of", step="at", matched_count="persons", outside_count="outside",
        without_id_count="no id", without_consent_count="no consent", listed_count="listed", added_count="added",
        removed_count="removed", erased_count="erased", remedy="suggested to send",
    )  # fmt: skip
    title = f"{count(rows.height)} audiences" if rows.height else "No audience is configured: see `audiences:`"
    return Listing(rows, title, "The lists: audiences/<audience>/ in the state folder, for its owner only.", show)


def what_if(
    marts: PublishedTables,
    stage: Annotated[str | None, typer.Option("--stage", help="Only this stage.", show_default=False)] = None,
    fix: Annotated[str, typer.Option("--fix", help="Share of those who leave at a stage that would stay.")] = "10%",
    model: ModelOption = None,
    persona: PersonaOption = "all",
) -> Listing:
    """Say how many more journeys would reach the last stage if fewer left at a stage, the greatest gain first.

    Who is kept is taken to move on as those did who went on from the stage: what fixing it can bring, and no forecast.
    The chain behind it reproduces the observed conversion, else nothing is shown.
    """
    from journeyflow.operations.what_if import what_if as changed

    rows = changed(marts, str(model), persona, _share(fix))
    if stage is not None:
        require_known("stage", stage, rows["stage"].to_list())
        rows = rows.filter(rows["stage"] == stage)
    show = in_columns(
        stage="fixed at", exit_count="left there", kept="kept", conversion_rate="conversion", changed_rate="then",
        gain="gain", gain_low="low", gain_high="high",
    )  # fmt: skip
    still = f" {count(rows['open_count'][0])} journeys are open and not in it." if rows.height else ""
    note = f"If those kept were like those who went on. Gain in journeys, with its 95 % interval.{still}"
    title = f"{model}, {_who(persona)}: {fix} of those who leave at a stage are kept"
    return Listing(rows, title, note, lambda shown, out: show(_named(shown), out))


def _named(rows: pl.DataFrame) -> pl.DataFrame:
    """Return expected numbers of journeys under names that are not printed as whole counts."""
    return rows.rename({"kept_count": "kept", "gain_count": "gain"})


def _share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise typer.BadParameter("--fix is a share such as 10% or 0.1")
    return share


class SliceBy(StrEnum):
    """What `changes` slices the units by."""

    PERSONA = "persona"
    CHANNEL = "channel"


def changes(
    marts: PublishedTables,
    funnel: Annotated[
        str | None,
        typer.Argument(help="A funnel or a journey model; by default the first model.", show_default=False),
    ] = None,
    month: Annotated[
        str | None, typer.Option("--period", help="A month such as 2026-03; by default the newest.")
    ] = None,
    by: Annotated[SliceBy, typer.Option("--by", help="What the mix is of.")] = SliceBy.PERSONA,
    all_slices: Annotated[bool, typer.Option("--all", help="Slices whose change may be chance, too.")] = False,
) -> Listing:
    """Show why a funnel's rate changed from one month to the next: who came, and what they did at each step.

    The effects of the first rows sum to the change, those of personas or channels to the first rows.
    """
    import polars as pl

    from journeyflow.report.reader import CHANGES, first_model

    name = funnel or first_model(marts)
    funnels = marts.sql("select distinct funnel from funnel_steps order by 1")["funnel"].to_list()
    require_known("funnel", name, funnels)
    if month is not None:
        known = marts.sql("select distinct period from rate_changes where funnel = $1 order by period", [name])
        require_known("period", month, known["period"].to_list())
    rows = marts.sql(CHANGES, [name, by.value, month])
    if rows.is_empty():
        return Listing(rows, f"{name}: no two months whose windows are over", show=in_columns(slice="slice"))
    head = rows.row(0, named=True)
    title = (
        f"{name}, {head['old_period']} to {head['period']}: {percent(head['old_rate'])} of "
        f"{count(head['old_count'])} to {percent(head['new_rate'])} of {count(head['new_count'])}"
    )
    pending = f"{count(head['pending_count'])} whose window is not over are left out. " if head["pending_count"] else ""
    shown = rows.filter((pl.col("slice") == "all") | pl.col("is_beyond_noise") | pl.lit(all_slices))
    show = in_columns(
        slice="slice", what="what changed", sides="from, to", points="effect", interval="95 % interval", q_value="q",
        mark="",
    )  # fmt: skip
    return Listing(
        shown,
        title,
        f"{pending}{'' if all_slices else f'Every {by.value}: --all. '}Marked effects are beyond chance; "
        "read at full windows, each unit once a month by its first day.",
        lambda some, out: show(_changes_for_people(some, by.value), out),
    )


def _changes_for_people(rows: pl.DataFrame, by: str) -> pl.DataFrame:
    texts = [_change_texts(row, by) for row in rows.iter_rows(named=True)]
    names = ("slice", "what", "sides", "points", "interval", "mark")
    return rows.with_columns([text_column([text[at] for text in texts]).alias(name) for at, name in enumerate(names)])


def _change_texts(row: dict[str, Any], by: str) -> tuple[str, ...]:
    is_total, is_mix = row["slice"] == "all", row["factor"] == "mix"
    sides = "-" if is_total and is_mix else f"{percent(row['old_factor'])}, {percent(row['new_factor'])}"
    ends = ("effect_low", "effect_high")
    interval = "-" if row["is_small"] else " to ".join(f"{100 * row[end]:+.1f}" for end in ends)
    what = f"who came, by {by}" if is_mix else f"reach {row['step']}"
    points = f"{100 * row['effect']:+.1f} points"
    return ("everybody" if is_total else row["slice"], what, sides, points, interval, "*" * row["is_beyond_noise"])


def compare(
    marts: PublishedTables,
    context: typer.Context,
    first: Annotated[
        str | None, typer.Argument(help="A persona, or a month such as 2026-03.", show_default=False)
    ] = None,
    second: Annotated[
        str | None, typer.Argument(help="Another; 'everybody' is all other persons.", show_default=False)
    ] = None,
    day: Annotated[
        str | None, typer.Option("--day", help="Compare the days before this day with it and those after.")
    ] = None,
    days: Annotated[int, typer.Option("--days", help="With --day: how many on each side.", min=5)] = 28,
    model: ModelOption = None,
    persona: Annotated[str, typer.Option("--persona", help="Of two months or a day: the persons.")] = "all",
    period: Annotated[str, typer.Option("--period", help="Of two personas: the month of entry.")] = "all",
    all_figures: Annotated[bool, typer.Option("--all", help="Figures that do not differ beyond chance too.")] = False,
) -> Listing:
    """Compare two personas, two months, or the time before and after a day; the most surprising difference first.

    Each difference has a 95 % interval. Listed are those that differ beyond chance: of these, one in twenty is expected
    to be false, however many figures are compared.
    """
    from journeyflow.operations.compare import are_months, compare_days, compare_maps

    if (day is None) == (first is None) or (first is None) != (second is None):
        raise typer.BadParameter(
            "name two personas or two months, such as `student family` or `2026-02 2026-03`, or a day: --day 2026-03-15"
        )
    if day is not None:
        _refuse(context, "a comparison of days", "model", "period")
        found = compare_days(marts, _day(day), days, persona)
    else:
        assert first is not None
        assert second is not None
        what, refused = ("months", "period") if are_months(marts, (first, second)) else ("personas", "persona")
        _refuse(context, f"a comparison of two {what}", refused, "days")
        found = compare_maps(marts, (first, second), model=str(model), persona=persona, period=period)
    beyond = found.rows.filter(found.rows["is_beyond_chance"])
    counts = f"{beyond.height} of {found.rows.height} figures differ beyond chance"
    show = in_columns(
        figure="figure", place="where", subject="of what", rate_a=found.first, rate_b=found.second,
        difference="difference", interval="95 % interval", q_value="q", mark="",
    )  # fmt: skip
    return Listing(
        found.rows if all_figures else beyond,
        f"{found.title}: {counts}",
        f"{'' if beyond.height else 'All figures: --all. '}{found.note}"
        "Differences are second less first, and associations: something else may differ too.",
        lambda rows, out: show(found.for_people(rows), out),
    )


def _refuse(context: typer.Context, what: str, *names: str) -> None:
    """Refuse options that the user gave and that `what` would ignore."""
    sources = {name: context.get_parameter_source(name) for name in names}
    if given := [f"--{name}" for name, source in sources.items() if source and source.name == "COMMANDLINE"]:
        raise typer.BadParameter(f"{' and '.join(given)} cannot be combined with {what}.")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter("--day is a day such as 2026-03-15") from error


class ExportFormat(StrEnum):
    """Formats of exported tables."""

    CSV = "csv"
    PARQUET = "parquet"
    XLSX = "xlsx"


WORKBOOK = "tables.xlsx"


def export(
    folder: Annotated[Path, typer.Argument(help="The folder to write; it is made where it is missing.")] = Path(
        "export"
    ),
    form: Annotated[
        ExportFormat, typer.Option("--format", "-f", help="A file per table; xlsx is one workbook with a sheet each.")
    ] = ExportFormat.CSV,
    chosen: Annotated[
        list[str] | None, typer.Option("--table", help="Only this table; may be repeated.", metavar="TABLE")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files of an earlier export.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    published: PublishedOption = None,
) -> None:
    """Write all published tables to a folder, as CSV, Parquet or an Excel workbook.

    In CSV and Excel a text that a spreadsheet would run as a formula gets a leading apostrophe. The tables hold one row
    per person (`person_stages`), under a pseudonym.
    """
    from journeyflow.cli.output import make_folder, open_marts, write_file, write_frame

    with open_marts(config, published) as marts:
        for name in chosen or ():
            marts.require(name)
        names = sorted(set(chosen)) if chosen else list(marts.tables)
        targets = [WORKBOOK] if form is ExportFormat.XLSX else [f"{name}.{form}" for name in names]
        _require_free(folder, targets, force=force)
        make_folder(folder)
        if form is ExportFormat.XLSX:
            from journeyflow.report.excel import render_tables

            write_file(folder / WORKBOOK, render_tables({name: marts.table(name) for name in names}, marts.manifest))
        else:
            for name, target in zip(names, targets, strict=True):
                write_frame(marts.table(name), Format(form.value), folder / target)
        rows = {name: marts.manifest.tables[name].row_count for name in names}
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), "files": targets, "row_counts": rows}, indent=2))
    else:
        typer.echo(f"Written: {len(names)} tables, {sum(rows.values()):,} rows, in {folder}/")


def _require_free(folder: Path, targets: list[str], *, force: bool) -> None:
    """Refuse to replace a file, so that an export never overwrites what it did not write."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder.")
    found = [name for name in targets if (folder / name).exists()]
    if found and not force:
        raise InputError(
            f"{folder} already holds {found[0]}" + (f" and {len(found) - 1} more" if found[1:] else "")
            + ". Name another folder, or replace the files with --force."
        )  # fmt: skip
