"""The analyses beside the map: which rows of their tables are shown, and `retention` as a triangle of texts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, Final

from journeyflow.config.map_rows import GRAINS, MapFigure
from journeyflow.errors import InputError
from journeyflow.report.formatting import display_text, label_text
from journeyflow.report.tables import Row
from journeyflow.report.view_model import ALL, Analysis, Difference, Differences, Entry, MapModel
from journeyflow.statistics.proportions import CRITICAL
from journeyflow.utils.formatting import percent

if TYPE_CHECKING:
    import polars as pl

    from journeyflow.publish.reader import PublishedTables

CHANGES = """
    select c.* from rate_changes as c
    where c.funnel = $1 and c.dimension = $2
        and c.period = coalesce($3, (select max(period) from rate_changes where funnel = $1 and dimension = $2))
    order by c.slice <> 'all', c.slice, c.step_index
"""
"""Why the rate of a funnel changed, by persona or channel, into a month (by default the newest): the total first."""
TREND: Final = (
    "select funnel, persona, cast(date_trunc('{step}', entry_date) as date) as first_day, "
    "coalesce(sum(person_count) filter (where is_first), 0)::bigint as entered_count, "
    "coalesce(sum(person_count) filter (where is_last), 0)::bigint as reached_count, "
    "coalesce(sum(person_count) filter (where is_first and is_matured), 0)::bigint as matured_count, "
    "sum(person_count) filter (where is_last and is_matured) / nullif(matured_count, 0) as conversion_rate, "
    f"{CRITICAL**2!r} / nullif(matured_count, 0) as z, "
    "(conversion_rate + z / 2 - sqrt(z * conversion_rate * (1 - conversion_rate) + z * z / 4)) / (1 + z) "
    "as conversion_low, "
    "(conversion_rate + z / 2 + sqrt(z * conversion_rate * (1 - conversion_rate) + z * z / 4)) / (1 + z) "
    "as conversion_high "
    "from (select *, step_index = min(step_index) over (partition by funnel) as is_first, "
    "step_index = max(step_index) over (partition by funnel) as is_last from funnel_trend) as days group by all"
)
"""A funnel by day, week or month of entry: the rate is of the days whose window is over, with Wilson's interval."""
MOST_MONTHS = 12
"""Of longer histories the last months are drawn."""
MOST_WEEKS = 26
MOST_GOALS = 3
MOST_PATHS = 25
MOST_COMPARED = 8
MOST_DIFFERENCES = 12


@dataclass(frozen=True, slots=True)
class _Definition:
    """What is shown of one table: rows by `select`, in order, with raw keys, texts and figures."""

    name: str
    table: str
    select: str
    key: tuple[str, ...]
    texts: tuple[str, ...]
    figures: tuple[MapFigure, ...]
    grain: tuple[str, ...] = ()
    relation: str = ""


_WEEKS = f"select * replace (first_day::varchar as first_day) from ({TREND.format(step='week')})"
_DEFINITIONS = (
    _Definition(
        "trend",
        "funnel_trend",
        # Of personas the stage funnels: those of all funnels would be a tenth of the page.
        f"select * from ({_WEEKS}) where persona = 'all' or funnel in (select model from map_stages) "
        f"qualify dense_rank() over (partition by funnel order by first_day desc) <= {MOST_WEEKS} "
        "order by funnel, persona, first_day",
        ("funnel", "persona"),
        ("first_day",),
        (
            MapFigure("conversion_rate", "of them reached the end", "rate", ("conversion_low", "conversion_high"),
                      "matured_count"),
            MapFigure("entered_count", "entered", "people"),
        ),
        ("funnel", "persona", "first_day"),
        _WEEKS,
    ),
    _Definition(
        "forecast",
        "pending_forecast",
        "from pending_forecast where pending_count > 0 and expected_count is not null "
        "order by funnel, persona, step_index",
        ("funnel", "persona"),
        ("step",),
        (
            MapFigure("expected_count", "expected to reach the end", "cases", ("low", "high"), "pending_count",
                      "inferred"),
            MapFigure("expected_amount", "worth", "amount", evidence="inferred"),
        ),
    ),
    _Definition(
        "changes",
        "rate_changes",
        "from rate_changes where (dimension = 'persona' and slice = 'all') or (slice <> 'all' and is_beyond_noise) "
        f"qualify dense_rank() over (partition by funnel order by period desc) <= {MOST_MONTHS} "
        "order by funnel, period, slice <> 'all', case when slice <> 'all' then q_value end, step_index, "
        "dimension, slice",
        ("funnel", "period", "dimension", "slice", "factor", "is_beyond_noise"),
        ("old_period", "slice", "step"),
        (
            MapFigure("effect", "effect", "points", ("effect_low", "effect_high"), evidence="inferred"),
            MapFigure("old_rate", "rate before", "rate", n="old_count"),
            MapFigure("new_rate", "rate then", "rate", n="new_count"),
            MapFigure("old_factor", "before", "rate"),
            MapFigure("new_factor", "then", "rate"),
            MapFigure("pending_count", "entered later, left out", "people"),
            MapFigure("age_seconds", "read so long after entry", "seconds"),
        ),
    ),
    _Definition(
        "retention",
        "retention",
        "from retention where rule = 'on' and channel = 'all' "
        f"qualify dense_rank() over (partition by start order by cohort desc) <= {MOST_MONTHS + 1} "
        "order by start_index, persona, cohort = 'all', cohort, age_index",
        ("persona", "start"),
        ("start", "cohort", "age_index"),
        (
            MapFigure("retention_rate", "came back", "rate", ("retention_low", "retention_high"), "matured_count"),
            MapFigure("person_count", "began", "people"),
            MapFigure("returned_count", "came back so far", "people"),
            MapFigure("pending_count", "this age is not over", "people"),
        ),
    ),
    _Definition(
        "attribution",
        "attribution",
        "from attribution inner join (select goal, max(goal_count) as most_count from attribution group by goal "
        f"order by most_count desc, goal limit {MOST_GOALS}) as goals using (goal) where period = 'all' "
        "order by most_count desc, goal, persona, channel = 'none', most_conversion_count desc, channel, method",
        ("persona", "goal", "method"),
        ("goal", "channel"),
        (
            MapFigure("conversion_count", "goals credited", "cases", ("conversion_low", "conversion_high"),
                      "goal_count", "inferred"),
            MapFigure("value_amount", "value credited", "amount", evidence="inferred"),
            MapFigure("spend_amount", "spent", "amount"),
            MapFigure("return_ratio", "value for each unit spent", "ratio", evidence="inferred"),
            MapFigure("not_converted_count", "paths without the goal", "cases"),
            MapFigure("pending_count", "paths still open", "cases"),
        ),
    ),
    _Definition(
        "paths",
        "paths",
        f"from paths where path_rank <= {MOST_PATHS} order by model, persona, path_rank",
        ("model", "persona", "path"),
        (),
        (
            MapFigure("person_count", "journeys", "cases"),
            MapFigure("share_rate", "of all journeys", "rate"),
            MapFigure("converted_count", "reached a goal", "cases"),
        ),
    ),
)  # fmt: skip


def read_analyses(published: PublishedTables, personas: Collection[str]) -> tuple[Analysis, ...]:
    """Return the analyses beside the map, of these personas; one whose table has no rows, or is not there, is empty."""
    return tuple(Analysis(each.name, tuple(_entries(published, each, personas))) for each in _DEFINITIONS)


def _entries(published: PublishedTables, shown: _Definition, personas: Collection[str]) -> Iterator[Entry]:
    if shown.table not in published.tables:
        return
    grain = shown.grain or GRAINS[shown.table]
    for values in published.sql(shown.select).iter_rows(named=True):
        if values.get("persona", ALL) in personas:
            where = tuple((column, values[column]) for column in grain)
            row = Row(shown.table, values, where, shown.relation)
            yield Entry(
                tuple(str(values[column]) for column in shown.key),
                tuple(_text(column, str(values[column])) for column in shown.texts),
                tuple(map(row.figure, shown.figures)),
            )


def _text(column: str, value: str) -> str:
    """Return a name as words; a channel such as cpc stays in small letters."""
    return display_text(value.replace("_", " ")) if column == "channel" else label_text(value)


def read_differences(
    published: PublishedTables, models: Sequence[MapModel], personas: Collection[str]
) -> tuple[Differences, ...]:
    """Return the differences beyond chance, the most surprising first: between personas, and from month to month.

    Personas are compared over the whole time, months of each persona with the month before. They are those that
    `journeyflow compare` lists.
    """
    from journeyflow.report.compare import compare_pairs

    if not models:
        return ()
    named = list(personas)[:MOST_COMPARED]
    months = sorted(set(published.sql("select distinct period from map_stages")["period"].to_list()) - {ALL})
    pairs = [((a, ALL), (b, ALL)) for a, b in combinations(named, 2)]
    pairs += [((name, a), (name, b)) for name in named for a, b in pairwise(months[-MOST_MONTHS // 2 - 1 :])]
    found = []
    for model in models:
        rows = compare_pairs(published, model.key, pairs)
        again = {before.key: after.label for before, after in pairwise(model.stages) if after.is_repeat}
        compared = rows["pair"].value_counts().iter_rows()
        beyond: dict[int, list[Difference]] = {}
        for row in rows.filter(rows["is_beyond_chance"]).iter_rows(named=True):
            beyond.setdefault(row["pair"], []).append(_difference(row, again))
        for pair, number in sorted(compared):
            (start, end), listed = pairs[pair], beyond.get(pair, [])
            shown = tuple(listed[:MOST_DIFFERENCES])
            found.append(Differences(model.key, start, end, number, len(listed), shown))
    return tuple(found)


_SENTENCES: Final = {
    "leave the stage": "leave at {place}",
    "leave the step": "leave at {place}",
    "meet it": "meet {subject} in {place}",
    "go on after it": "go on after {subject} in {place}",
    "promise kept": "promise kept: {subject}",
    "sentiment": "sentiment in {place}",
}


_NUMBERS = ("rate_a", "base_a", "rate_b", "base_b", "difference", "difference_low", "difference_high")


def _difference(row: dict[str, Any], again: Mapping[str, str]) -> Difference:
    """Return a row of a comparison in words; `again` are the stages whose next one is reached by doing it again."""
    place = label_text(row["place"])
    if row["figure"] == "leave the stage" and row["place"] in again:
        return Difference(f"{place}: not {again[row['place']]} yet", True, *(row[name] for name in _NUMBERS))
    if row["figure"] == "leave the step":
        funnel, step = map(label_text, row["place"].split(": ", 1))
        place = f"{step} (funnel {funnel})"
    text = _SENTENCES[row["figure"]].format(place=place, subject=display_text(row["subject"]))
    return Difference(text, row["unit"] == "rate", *(row[name] for name in _NUMBERS))


OPEN = "open"
"""What a cell says of which nobody is settled yet; after a rate, that it is of those who are."""
LEAST = "at least "
"""What a rate `on_or_after` begins with that covers fewer ages than the others."""


def starts_of(marts: PublishedTables) -> list[str]:
    """Return the starts of the cohorts, in the order of the configuration; InputError where there is none."""
    starts = marts.sql("select start from retention group by start order by min(start_index)")["start"].to_list()
    if not starts:
        raise InputError("No cohort is followed: `cohorts: starts:` is empty. Add a start to it, or remove the key.")
    return starts


def triangle(rows: pl.DataFrame) -> pl.DataFrame:
    """Return cohort, person_count and a column of texts per age, of rows of one start, persona, channel and rule.

    The total row is the last. An empty cohort has dashes.
    """
    ages = sorted(rows["age_index"].unique().to_list())
    import polars as pl

    lines = []
    for (cohort,), cells in sorted(rows.group_by("cohort"), key=lambda each: (each[0][0] == "all", each[0][0])):
        texts = {row["age_index"]: _cell(row, ages[-1]) for row in cells.iter_rows(named=True)}
        lines.append([cohort, cells["person_count"].max(), *(texts.get(age, "") for age in ages)])
    schema = {"cohort": pl.String, "person_count": pl.Int64} | {str(age): pl.String for age in ages}
    return pl.DataFrame(lines, schema=schema, orient="row")


def _cell(row: dict[str, object], last_age: int) -> str:
    if not row["person_count"]:
        return "-"
    if row["retention_rate"] is None:
        return OPEN
    assert isinstance(row["retention_rate"], float)
    rate = percent(row["retention_rate"])
    if row["rule"] == "on_or_after":
        return rate if row["last_age_index"] == last_age else LEAST + rate
    return f"{rate} {OPEN}" if row["pending_count"] else rate
