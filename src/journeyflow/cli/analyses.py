"""Lists of the analyses beside the map: `attribution`, `retention`, `changes`, `alerts`, `actions` and more."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from journeyflow.cli.output import (
    AnyFunnelArgument,
    FunnelArgument,
    Listing,
    ModelOption,
    PeriodOption,
    PersonaOption,
    in_columns,
    text_column,
    unit_of,
    when_text,
    who_text,
)
from journeyflow.errors import require_known
from journeyflow.utils.formatting import count, duration, numbered, percent

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from journeyflow.publish.reader import PublishedTables


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
    if not goals:
        return Listing(marts.sql("from attribution"), empty="No goal was reached or configured: see `goals:`")
    chosen = goal or goals[0]
    require_known("goal", chosen, goals)
    if persona != "all" and period != "all":
        raise typer.BadParameter("personas are of the whole time and months of all persons: give one of the two")
    title = f"{chosen}, {who_text(persona)}, {when_text(period)}"
    if paths:
        if period != "all":
            raise typer.BadParameter("paths are of the whole time: leave out --period")
        show = in_columns(
            path_rank="rank", path="touches in order", person_count="persons", conversion_count="reached the goal",
            not_converted_count="ended without", pending_count="still open", _worth="value",
        )  # fmt: skip
        rows = marts.sql(_GOAL_PATHS, [chosen, persona])
        note = (
            "A path is the touches of a person up to a goal, or since the last one: a person may have several. "
            "Still open: the look-back after its last touch is not over."
        )
        return Listing(rows, f"{title}: paths to the goal and without it", note, show, empty="No path of this persona.")
    known = marts.sql("select distinct method from attribution order by method")["method"].to_list()
    require_known("method", method, [*known, "every"])
    rows = marts.sql(_ATTRIBUTION, [chosen, method, persona, period])
    counts = rows.select("goal_count", "not_converted_count", "pending_count").unique().rows()
    if counts:
        reached, lost, pending = (count(int(each)) for each in counts[0])
        title += f": {reached} goals, {lost} paths without, {pending} pending"
    show = in_columns(
        channel="channel", **({"method": "method"} if method == "every" else {}), _goals="goals", _interval="95 %",
        _spread="by all methods", _worth="value", _spent="spent", _cost="cost of a goal", _ratio="value / spent",
    )  # fmt: skip
    note = "" if method == "every" else f"Method {method}; all: --method every. "
    note += "The interval is of chance; how far the methods differ is what the choice of one decides."
    return Listing(rows, title, note, show)


_GOALS = """
    select goal from attribution where persona = 'all' and period = 'all'
    group by goal order by max(goal_count) desc, goal
"""
_ATTRIBUTION = """
    select *,
        printf('%.1f', conversion_count) as _goals,
        coalesce(printf('%.0f to %.0f', conversion_low, conversion_high), '-') as _interval,
        printf('%.0f to %.0f', least_conversion_count, most_conversion_count) as _spread,
        coalesce(format('{:,.0f} ', value_amount) || coalesce(currency, ''), '-') as _worth,
        coalesce(format('{:,.0f} ', spend_amount) || coalesce(currency, ''), '-') as _spent,
        coalesce(format('{:,.2f} ', cost_per_conversion_amount) || coalesce(currency, ''), '-') as _cost,
        coalesce(printf('%.2f', return_ratio), '-') as _ratio
    from (
        select * replace (
            cast(conversion_count as double) as conversion_count, cast(value_amount as double) as value_amount,
            cast(least_conversion_count as double) as least_conversion_count,
            cast(most_conversion_count as double) as most_conversion_count,
            cast(spend_amount as double) as spend_amount,
            cast(cost_per_conversion_amount as double) as cost_per_conversion_amount
        ) from attribution
    )
    where goal = $1 and ($2 = 'every' or method = $2) and persona = $3 and period = $4
    order by channel = 'none', most_conversion_count desc, channel, method
"""
_GOAL_PATHS = """
    select * replace (
            cast(conversion_count as bigint) as conversion_count, cast(value_amount as double) as value_amount
        ), coalesce(format('{:,.2f}', cast(value_amount as double)), '-') as _worth
    from attribution_paths where goal = $1 and persona = $2 order by path_rank
"""


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
    from journeyflow.report.analyses import LEAST, OPEN, starts_of, triangle

    starts = starts_of(marts)
    name = start or starts[0]
    require_known("start", name, starts)
    channels = marts.sql("select distinct channel from retention where start = $1 order by 1", [name])
    require_known("channel", channel, channels["channel"].to_list())
    rows = marts.sql(_RETENTION, [name, persona, channel, rule.value])

    def show(shown: pl.DataFrame, out: Console) -> None:
        lines = triangle(shown)
        ages = {column: f"age {column}" for column in lines.columns[2:]}
        in_columns(**{"cohort": "cohort", "person_count": "persons"} | ages)(lines, out)

    whose = f", start in {channel}" if channel != "all" else ""
    about = {
        Rule.ON: f"Back at this age, of those who have completed it; `{OPEN}`: not all have, or nobody. "
        "The last row is of those who have completed every age.",
        Rule.ON_OR_AFTER: f"Back at this age or later (Kaplan-Meier); `{LEAST.strip()}`: so far, later ages are open.",
    }
    unit = rows["age_unit"][0] if rows.height else "-"
    back = {Rule.ON: "back at an age", Rule.ON_OR_AFTER: "back at an age or later"}[rule]
    title = f"{name}, {who_text(persona)}{whose}: {back}; age 0 begins at the start, each is {unit} long"
    return Listing(rows, title, about[rule], show, "cohort")


_RETENTION = """
    select * from retention where start = $1 and persona = $2 and channel = $3 and rule = $4
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
    empty = "Nobody of this persona ordered, or `cohorts: repeat:` names no goal."
    return Listing(rows, f"From each order to the next, {who_text(persona)}", note, show, empty=empty)


def _lifecycle(marts: PublishedTables, persona: str) -> Listing:
    rows = marts.sql("from lifecycle where persona = $1 order by period", [persona])
    show = in_columns(
        period="month", active_count="active", new_count="new", returning_count="returning",
        resurrecting_count="resurrecting", dormant_count="dormant", pending_count="pending", is_open="open",
    )  # fmt: skip
    note = "Active are new, returning and resurrecting. Dormant: active the month before. Pending: not yet, month open."
    empty = "Nobody of this persona was active."
    return Listing(rows, f"Active persons by month, {who_text(persona)}", note, show, empty=empty)


def referrals(marts: PublishedTables) -> Listing:
    """Show who brings others: how many persons each brought, and how soon, by the persona of who brought them.

    Only persons whose time to bring others is over are in the factor. `referrals:` says where the data name them.
    """
    marts.require("referrals")
    rows = marts.sql(_REFERRALS)
    show = in_columns(
        persona="persona", settled_count="persons", pending_count="time not over", settled_brought_count="brought",
        _factor="for each", _interval="95 % interval", bringer_rate="who brought", _wait_seconds="median wait",
        _wait="95 % interval ", _order_seconds="from first order", further_brought_count="by those brought",
    )  # fmt: skip
    total = rows.row(0, named=True) if rows.height else {"brought_count": 0, "pending_brought_count": 0}
    title = f"Who brought others: {numbered(total['brought_count'], 'person')} brought in all"
    note = (
        f"Brought in time, by those whose time is over; {count(total['pending_brought_count'])} more were brought by "
        "others, whose time is not over. Statements that cannot be true are blind spots."
    )
    empty = "Nothing says who brought a person: name the trait or property in `referrals: referred_by`, and run."
    return Listing(rows, title, note, show, empty=empty)


_REFERRALS = """
    select *, p50_seconds_to_bring as _wait_seconds, p50_seconds_from_order as _order_seconds,
        coalesce(printf('%.3f', referral_factor), '-') as _factor,
        coalesce(printf('%.3f to %.3f', referral_factor_low, referral_factor_high), '-') as _interval,
        coalesce(
            printf('%.1f to %.1f d', p50_seconds_to_bring_low / 86400, p50_seconds_to_bring_high / 86400), '-'
        ) as _wait
    from referrals order by persona <> 'all', persona = 'unassigned', persona
"""


def actions(marts: PublishedTables) -> Listing:
    """List the dated actions of `actions:`: what changed at their step since, against what the others did.

    Only units whose window is over are in a rate. Effects are in points of the step's rate.
    """
    marts.require("action_effects")
    rows = marts.sql(_ACTIONS)
    show = in_columns(
        action="action", first_day="since", _place="step", _whose="of", before_rate="before", after_rate="after",
        _others="others", _points="effect", _interval="95 % interval", grade="how it is known", pending_count="pending",
        ramp_count="ramp",
    )  # fmt: skip
    title = f"Dated actions: {count(rows.height)}"
    note = "before_after: there are no others to compare with. trending: the slice moved apart before already."
    empty = "Nothing is in `actions:` of the configuration. Add a change with its day, and run."
    return Listing(rows, title, note, show, empty=empty)


_ACTIONS = """
    select *, concat(funnel, ': ', step) as _place, coalesce(concat(dimension, '=', slice), 'all') as _whose,
        coalesce(printf('%+.1f', 100 * others_change), '-') as _others,
        coalesce(printf('%+.1f', 100 * effect), '-') as _points,
        coalesce(printf('%+.1f to %+.1f', 100 * effect_low, 100 * effect_high), '-') as _interval
    from action_effects order by first_day desc, action
"""


def alerts(
    marts: PublishedTables,
    funnel: AnyFunnelArgument = None,
    days: Annotated[
        int, typer.Option("--days", help="Days on which they could first be read, back from the run's.", min=1, max=28)
    ] = 1,
) -> Listing:
    """List the days on which a rate was not what it was on the like days before, and rates that drift away slowly.

    Days are read at equal age, so that a young day is not taken for a bad one.
    """
    if funnel is not None:
        funnels = marts.sql("select distinct funnel from funnel_steps order by 1")["funnel"].to_list()
        require_known("funnel", funnel, funnels)
    newest = marts.manifest.high_water_at.date()
    rows = marts.sql(_ALERTS, [funnel, newest, days])
    show = in_columns(
        day="day", funnel="funnel", step="step", _whose="of", _read="read", _what="what", rate="rate",
        expected_rate="expected", q_value="q", cause="cause of the month",
    )  # fmt: skip
    title = f"Alerts on rates of the last {'day' if days == 1 else numbered(days, 'day')}: {count(rows.height)}"
    empty = f"No rate is beyond what is usual{'.' if days > 1 else '. Earlier days: --days 28'}"
    note = "Expected: the same day of the week in eight weeks, at the same age. q: over all that was tested that day."
    return Listing(rows, title, note, show, empty=empty)


_ALERTS = """
    select *, case dimension when 'all' then 'everybody' else dimension || ' ' || slice end as _whose,
        case age_days when 0 then 'settled' else 'at age ' || age_days || ' d' end as _read,
        case kind when 'drift' then 'drift ' || direction else reached_count || ' of ' || unit_count end
            || case kind when 'two_days' then ' in two days' else '' end as _what
    from rate_alarms
    where ($1 is null or funnel = $1) and (is_current or read_day > cast($2 as date) - cast($3 as integer))
    order by read_day desc, q_value, funnel, step_index, dimension <> 'all', dimension, slice, age_days
"""


def forecast(
    marts: PublishedTables,
    funnel: AnyFunnelArgument = None,
    persona: PersonaOption = "all",
    scores: Annotated[
        bool, typer.Option("--scores", help="Earlier forecasts, and what came of them, instead.")
    ] = False,
) -> Listing:
    """Show how many of those who are pending are expected to reach the last step, and what that is worth.

    Expected is what came of earlier units that were at the same step at the same age, those whose window is over.
    """
    if funnel is not None:
        funnels = marts.sql("select distinct funnel from pending_forecast order by 1")["funnel"].to_list()
        require_known("funnel", funnel, funnels)
    of_funnel = {} if funnel else {"funnel": "funnel"}
    title = f"{funnel or 'Every funnel'}, {who_text(persona)}"
    if scores:
        show = in_columns(
            **of_funnel, forecast_at="forecast at", _step="pending at", pending_count="pending", _expected="expected",
            _interval="95 % interval", converted_count="came", settled_count="of", _mark="",
        )  # fmt: skip
        note = "Marked: the interval does not hold what came. Without a number: not all windows are over."
        empty = "No earlier run made a forecast. Later runs score today's."
        return Listing(marts.sql(_SCORES, [funnel, persona]), f"{title}: earlier forecasts", note, show, empty=empty)
    show = in_columns(
        **of_funnel, step="pending at", pending_count="pending", _expected="expected", _interval="95 % interval",
        _worth="worth", _held="earlier forecasts held",
    )  # fmt: skip
    note = "Expected to reach the last step before their windows are over. A dash: no earlier unit was there."
    empty = "Nobody is pending: every window is over."
    return Listing(marts.sql(_FORECAST, [funnel, persona]), title, note, show, empty=empty)


_FORECAST = """
    select * replace (
            cast(expected_count as double) as expected_count, cast(expected_amount as double) as expected_amount
        ),
        coalesce(printf('%.1f', expected_count), '-') as _expected,
        coalesce(printf('%.0f to %.0f', low, high), '-') as _interval,
        coalesce(format('{:,.0f} ', cast(expected_amount as double)) || currency, '-') as _worth,
        coalesce((
            select count(*) filter (where s.is_inside) || ' of ' || count(s.is_inside) from forecast_scores as s
            where s.funnel = f.funnel and s.persona = f.persona and s.step_index = f.step_index
            having count(s.is_inside) > 0
        ), '-') as _held
    from pending_forecast as f
    where ($1 is null or funnel = $1) and persona = $2 and pending_count > 0
    order by funnel, step_index
"""
_SCORES = """
    select * replace (cast(expected_count as double) as expected_count), printf('%.1f', expected_count) as _expected,
        coalesce((
            select any_value(f.step) from pending_forecast as f
            where f.funnel = forecast_scores.funnel and f.step_index = forecast_scores.step_index
        ), step_index::varchar) as _step,
        printf('%.0f to %.0f', low, high) as _interval,
        case when is_inside then '' when settled_count > 0 then '*' else '' end as _mark
    from forecast_scores
    where ($1 is null or funnel = $1) and persona = $2
    order by forecast_at desc, funnel, step_index
"""


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
    note = "The lists: audiences/<audience>/ in the state folder, for its owner only."
    empty = "Nothing is in `audiences:` of the configuration. Add an audience, and run."
    return Listing(rows, numbered(rows.height, "audience"), note, show, empty=empty)


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
    from journeyflow.report.analyses import what_if as changed

    rows = changed(marts, str(model), persona, _share(fix))
    if stage is not None:
        require_known("stage", stage, rows["stage"].to_list())
        rows = rows.filter(rows["stage"] == stage)
    show = in_columns(
        stage="fixed at", exit_count="left there", _kept="kept", conversion_rate="conversion", changed_rate="then",
        _gain="gain", _interval="95 % of gain",
    )  # fmt: skip
    note = "If those kept were like those who went on. Gain in journeys, with its 95 % interval."
    title = f"{model}, {who_text(persona)}"
    if rows.height:
        first = rows.row(0, named=True)
        title = (
            f"{model}, {who_text(persona)}: of {count(first['journey_count'])} journeys that have ended "
            f"{percent(first['conversion_rate'])} reach the last stage; below, if {fix} of those that leave stayed"
        )
        note += f" {count(first['open_count'])} journeys are open and not in it."
    empty = "No journey has ended and left at a stage: run again when windows are over."
    return Listing(rows, title, note, lambda shown, out: show(_named(shown), out), empty=empty)


def _named(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with expected numbers of journeys as texts of one decimal, and an interval as one."""
    import polars as pl

    texts = {name: [f"{value:,.1f}" for value in rows[column]] for name, column in _EXPECTED.items()}
    interval = [f"{low} to {high}" for low, high in zip(texts.pop("low"), texts.pop("high"), strict=True)]
    return rows.with_columns(
        *(pl.Series(name, values, dtype=pl.String) for name, values in texts.items()),
        pl.Series("_interval", interval, dtype=pl.String),
    )


_EXPECTED = {"_kept": "kept_count", "_gain": "gain_count", "low": "gain_low", "high": "gain_high"}


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
    funnel: FunnelArgument = None,
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

    from journeyflow.report.analyses import CHANGES
    from journeyflow.report.reader import first_model

    name = funnel or first_model(marts)
    funnels = marts.sql("select distinct funnel from funnel_steps order by 1")["funnel"].to_list()
    require_known("funnel", name, funnels)
    if month is not None:
        known = marts.sql("select distinct period from rate_changes where funnel = $1 order by period", [name])
        require_known("period", month, known["period"].to_list())
    rows = marts.sql(CHANGES, [name, by.value, month])
    if rows.is_empty():
        return Listing(rows, name, empty="There are no two months to compare: too little is over in the newest one.")
    head = rows.row(0, named=True)
    title = (
        f"{name}, {head['old_period']} to {head['period']}, {unit_of(marts, name)}s, once a month by their first day, "
        f"read {duration(head['age_seconds'])} after entry: {percent(head['old_rate'])} of "
        f"{count(head['old_count'])} to {percent(head['new_rate'])} of {count(head['new_count'])}"
    )
    pending = f"{count(head['pending_count'])} who entered later are left out. " if head["pending_count"] else ""
    shown = rows.filter((pl.col("slice") == "all") | pl.col("is_beyond_noise") | pl.lit(all_slices))
    show = in_columns(
        slice="slice", what="what changed", sides="from, to", points="effect", interval="95 % interval", q_value="q",
        mark="",
    )  # fmt: skip
    return Listing(
        shown,
        title,
        "Both months are read at that age, so that a young month is not taken for a bad one. "
        f"{pending}{'' if all_slices else f'Every {by.value}: --all. '}Marked effects are beyond chance.",
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
