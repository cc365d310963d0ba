"""The analyses beside the map: which rows are shown, `retention` as a triangle, and what less leaving would bring."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from journeyflow.compile.map_figures import GRAINS, MapFigure
from journeyflow.errors import InputError, JourneyflowError
from journeyflow.report.cells import Row
from journeyflow.report.formatting import TEXT_LENGTH, display_text, label_text
from journeyflow.report.view_model import ALL, Analysis, Difference, Differences, Entry, MapModel
from journeyflow.statistics.proportions import CRITICAL
from journeyflow.utils.formatting import count, percent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from journeyflow.publish.reader import PublishedTables


DRAWS = 1_000
SEED = 20260101
TOLERANCE = 1e-9
_CHAIN = """
    select from_stage, to_stage, from_index, to_index, journey_count from stage_chains
    where model = $1 and persona = $2 order by from_index, to_index
"""
_GOAL = "select max(stage_index) as goal from map_stages where model = $1"


@dataclass(frozen=True)
class Chain:
    """Counts of moves; the row of state 0 are entries, and the last two columns conversions and exits."""

    counts: NDArray[np.float64]

    @property
    def observed_rate(self) -> float:
        """The share of those who entered that converted."""
        entered = self.counts[0].sum()
        return float(self.counts[:, -2].sum() / entered) if entered else 0.0

    def checked_rate(self) -> float:
        """Return the chance to convert by the chain; JourneyflowError where it is not what was observed."""
        rate = float(_conversion(_shares(self.counts[None]))[0])
        if abs(rate - self.observed_rate) > TOLERANCE:
            raise JourneyflowError(
                f"The chain converts {rate:.6f} of those who enter, and {self.observed_rate:.6f} did; what comes into "
                "a stage does not leave it. Nothing can be said of a change; please report this."
            )
        return rate

    def gain(self, state: int, share: float) -> tuple[float, float, float] | None:
        """Return the conversions gained when `share` of the exits from `state` do not happen, with a 95 % interval.

        Who stays moves on as those did who went on from there. Rows of the chain are drawn from the Dirichlet
        distribution of their counts. None where nobody went on from the state, so that nothing is known of it.
        """
        row = self.counts[state]
        if not row[:-1].sum():
            return None
        entered = self.counts[0].sum()
        shares = _shares(self.counts[None])
        best = float((_conversion(_changed(shares, state, share)) - _conversion(shares))[0])
        chance = np.random.default_rng(SEED)
        # Normalized gamma variates are a Dirichlet draw; a move that was never seen stays impossible.
        drawn = _shares(chance.gamma(np.broadcast_to(self.counts, (DRAWS, *self.counts.shape))))
        gains = _conversion(_changed(drawn, state, share)) - _conversion(drawn)
        low, high = np.quantile(gains, [0.025, 0.975])
        return best * entered, float(low) * entered, float(high) * entered


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows that add up to 1; of a state without moves everything exits."""
    totals = counts.sum(axis=-1, keepdims=True)
    found: NDArray[np.float64] = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    found[..., -1] += totals[..., 0] == 0
    return found


def _conversion(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chance to convert from state 0, exactly: (1 - Q) x = r."""
    moves = shares[..., :-2]
    found = np.linalg.solve(np.eye(moves.shape[-1]) - moves, shares[..., -2:-1])
    return np.asarray(found[..., 0, 0], dtype=np.float64)


def _changed(shares: NDArray[np.float64], state: int, share: float) -> NDArray[np.float64]:
    found = shares.copy()
    left = found[:, state, -1]
    # What is freed is spread as among those who went on.
    found[:, state, :-1] *= (1 + left * share / (1 - left))[:, None]
    found[:, state, -1] = left * (1 - share)
    return found


def what_if(marts: PublishedTables, model: str, persona: str, share: float) -> pl.DataFrame:
    """Return what keeping `share` of the exits from each stage would bring, the greatest gain first.

    A row per stage that journeys left from: exits, exits kept, rates before and after, conversions gained with their
    interval. It rests on journeys that have ended; open ones are in `open_count`.
    """
    rows = marts.sql(_CHAIN, [model, persona])
    goal = marts.sql(_GOAL, [model])["goal"][0]
    open_count = int(rows.filter(rows["to_index"] == -1)["journey_count"].sum())
    ended = rows.filter(rows["to_index"] >= 0)
    if goal is None or ended.is_empty():
        return pl.DataFrame(schema=_SCHEMA)
    chain = _chain(ended, int(goal))
    rate, entered = chain.checked_rate(), int(chain.counts[0].sum())
    exits = ended.filter(ended["to_index"] == 0).select("from_stage", "from_index", "journey_count")
    found = [
        (stage, left, left * share, entered, rate, rate + gained[0] / entered, *gained, open_count)
        for stage, index, left in exits.iter_rows()
        if (gained := chain.gain(index, share)) is not None
    ]
    return pl.DataFrame(found, schema=_SCHEMA, orient="row").sort("gain_count", "stage", descending=[True, False])


def gains_by_stage(published: PublishedTables, model: MapModel, persona: str) -> dict[str, str]:
    """Return what less leaving would bring, in words, by stage; a stage that the chain does not cover has none."""
    if "stage_chains" not in published.tables:
        return {}
    labels = {stage.key: stage.label for stage in model.stages}
    last = model.stages[-1].label
    return {
        row["stage"]: (
            f"if a tenth of the {count(row['exit_count'])} journeys that ended at {labels[row['stage']]}, for whatever "
            f"cause, had gone on, about {count(round(row['gain_count']))} more (95 % interval "
            f"{count(round(row['gain_low']))} to {count(round(row['gain_high']))}) of {count(row['journey_count'])} "
            f"would have reached {last}"
        )
        for row in what_if(published, model.key, persona, 0.1).iter_rows(named=True)
        if round(row["gain_count"]) and row["stage"] in labels
    }


_SCHEMA = {
    "stage": pl.String, "exit_count": pl.Int64, "kept_count": pl.Float64, "journey_count": pl.Int64,
    "conversion_rate": pl.Float64, "changed_rate": pl.Float64, "gain_count": pl.Float64, "gain_low": pl.Float64,
    "gain_high": pl.Float64, "open_count": pl.Int64,
}  # fmt: skip


def _chain(rows: pl.DataFrame, goal: int) -> Chain:
    """Return the chain of moves between stages before the last, `goal`: it is where journeys convert."""
    counts = np.zeros((goal, goal + 2))
    for start, end, number in rows.select("from_index", "to_index", "journey_count").iter_rows():
        counts[start, goal if end == goal else goal + 1 if end == 0 else end] += number
    return Chain(counts)


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


_SENTENCES_OF_TABLES = ("description", "headline", "discovered_persona")
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
    _Definition(
        "discovered",
        "discovered_personas",
        "from discovered_personas where kind = 'class' order by person_count desc, discovered_persona",
        ("discovered_persona", "is_unstable"),
        ("discovered_persona", "description"),
        (
            MapFigure("person_count", "persons", "people", evidence="inferred"),
            MapFigure("share_rate", "of those whose first visit is over", "rate", ("share_low", "share_high"),
                      evidence="inferred"),
            MapFigure("conversion_rate", "reached the repeated goal", "rate", ("conversion_low", "conversion_high"),
                      "matured_count", "inferred"),
            MapFigure("stability", "stability", "score", evidence="inferred"),
        ),
        ("discovered_persona",),
    ),
    _Definition(
        "overlaps",
        "discovered_persona_overlaps",
        "from discovered_persona_overlaps where person_count >= 5 and lift > 1.2 "
        "order by discovered_persona, lift desc, persona",
        ("discovered_persona", "persona"),
        (),
        (
            MapFigure("share_rate", "of the discovered persona", "rate", evidence="inferred"),
            MapFigure("lift", "times as many as if unrelated", "ratio", evidence="inferred"),
        ),
        ("discovered_persona", "persona"),
    ),
    _Definition(
        "actions",
        "action_effects",
        "select * replace (is_beyond_noise and grade = 'compared' as is_beyond_noise) from action_effects "
        "order by first_day, action",
        ("action", "is_beyond_noise"),
        ("action", "headline"),
        (
            MapFigure("effect", "effect", "points", ("effect_low", "effect_high"), evidence="inferred"),
            MapFigure("before_rate", "before", "rate", n="before_count"),
            MapFigure("after_rate", "since", "rate", n="after_count"),
            MapFigure("pending_count", "pending", "cases"),
        ),
        ("action",),
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
    """Return a name as words; a channel such as cpc stays in small letters, and a sentence what it is."""
    if column in _SENTENCES_OF_TABLES:
        return display_text(value, TEXT_LENGTH)
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
