"""Discovered personas: latent classes of what is known of persons after their first visit, and never of outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from journeyflow.config.base import microseconds
from journeyflow.errors import NotFoundError
from journeyflow.models.model import arrow_schema, python_model
from journeyflow.publish.reader import read_manifest
from journeyflow.statistics.latent_classes import (
    Answers,
    LatentClasses,
    choose_classes,
    posteriors,
    refit_classes,
    similarity,
    stability,
)
from journeyflow.statistics.proportions import Floats, Ints, wilson_interval

if TYPE_CHECKING:
    from datetime import datetime

    from journeyflow.config import Config
    from journeyflow.engines import Engine

FEWEST_PERSONS = 100
MOST_FITTED = 10_000
"""Of more persons that many are drawn to fit a model to; all are put into classes."""
CLEAR = 0.7
"""Chance of the likeliest class below which a person is in none."""
SAME = 0.5
"""Jaccard similarity from which on a class of a new fit is the class of the old one, and keeps its name."""
TOUCHPOINT = "touchpoint"
CLASSES, RATES, OVERLAPS = "analyses.discovered_classes", "analyses.discovered_rates", "analyses.discovered_overlaps"


_LEAST_SHARE = 0.02
_MOST_VALUES = 6
_MOST_TOUCHPOINTS = 10
_MOST_SLICES = 3
_MOST_BITS = 62
_TWINS = 0.9
_TYPICAL = (0.5, 0.2)
_EMPTY = pa.table({name: pa.array([], kind) for name, kind in (
    ("person_key", pa.uint64()), ("feature", pa.string()), ("value", pa.string()),
)})  # fmt: skip
_ITEMS = """
with goal_kinds as (
    select distinct predicates.event_type_ix, goals.is_repeated
    from config.goals
    inner join config.event_type_predicates as predicates on predicates.predicate = concat('goal/', goals.goal)
    where predicates.is_true
),
outcome_stage as (
    select coalesce(min(classifications.stage_index), 1000000) as stage_index
    from kernel.classifications
    inner join goal_kinds on goal_kinds.event_type_ix = classifications.event_type_ix
    where classifications.model_index = 1 and classifications.stage_index > 0 and goal_kinds.is_repeated
),
early_kinds as (
    select classifications.classification_key, event_types.touchpoint
    from kernel.classifications
    inner join journeys.event_types on event_types.event_type_ix = classifications.event_type_ix
    cross join outcome_stage
    where
        classifications.model_index = 1
        and classifications.stage_index between 1 and outcome_stage.stage_index - 1
        and classifications.event_type_ix not in (select event_type_ix from goal_kinds)
),
firsts as (
    select
        journeys.person_key, journeys.first_event_ix, journeys.first_event_type_ix, opening.session_ix,
        opening.classification_key, sessions.event_count,
        date_diff('microsecond', sessions.started_at, sessions.ended_at) as duration_us
    from kernel.journeys
    inner join kernel.events as opening on opening.event_ix = journeys.first_event_ix
    left join kernel.sessions on sessions.session_ix = opening.session_ix
    cross join config.settings
    where
        journeys.journey_index = 1
        and (
            sessions.ended_at is null
            or date_diff('microsecond', sessions.ended_at, settings.high_water_at) > {timeout_us}
        )
),
events_met as (
    select firsts.person_key, events.classification_key
    from firsts
    inner join kernel.events as events
        on events.session_ix = firsts.session_ix and events.person_key = firsts.person_key
    union all
    select person_key, classification_key from firsts where session_ix is null
),
touchpoints_met as (
    select events_met.person_key, early_kinds.touchpoint, count(*) as event_count
    from events_met
    inner join early_kinds on early_kinds.classification_key = events_met.classification_key
    group by events_met.person_key, early_kinds.touchpoint
),
lengths as (
    select person_key, sum(event_count) as event_count from touchpoints_met group by person_key
)
select firsts.person_key, 'channel' as feature, event_types.channel as value
from firsts
inner join journeys.event_types on event_types.event_type_ix = firsts.first_event_type_ix
union all
select firsts.person_key, 'source' as feature, origins.channel as value
from firsts
inner join analyses.visit_origins as origins on origins.session_ix = firsts.session_ix
union all
select person_key, 'touchpoint' as feature, touchpoint as value from touchpoints_met
union all
select
    person_key, 'events' as feature,
    case
        when event_count = 1 then '1 event'
        when event_count < 5 then '2 to 4 events'
        when event_count < 10 then '5 to 9 events'
        else '10 or more events'
    end as value
from lengths
union all
select
    person_key, 'pace' as feature,
    case
        when duration_us < 15000000 * (event_count - 1) then 'an event within 15 s'
        when duration_us < 60000000 * (event_count - 1) then 'an event within 60 s'
        else 'over 60 s an event'
    end as value
from firsts
where event_count > 1
"""
_SLICE = """
union all
select firsts.person_key, {feature} as feature, events.slice_{number} as value
from firsts
inner join staging.events as events on events.event_ix = firsts.first_event_ix
where events.slice_{number} is not null
"""
_COUNTS = """
    select feature, value, count(*) as person_count from analyses.early_items group by feature, value
"""
_CELLS = """
    with items as (
        select unnest($1) as feature, unnest($2) as value, unnest($3) as bit
    ),
    patterns as (
        select early.person_key, cast(coalesce(sum(items.bit), 0) as bigint) as pattern
        from analyses.early_items as early
        left join items on items.feature = early.feature and items.value = early.value
        group by early.person_key
    ),
    persons_placed as (
        select
            patterns.pattern,
            coalesce(personas.persona, 'unassigned') as persona,
            coalesce(
                date_diff('microsecond', persons.first_event_at, orders.ordered_at) < settings.journeys_window_us, false
            ) as is_converted,
            date_diff('microsecond', persons.first_event_at, settings.high_water_at)
                >= settings.journeys_window_us as is_matured
        from kernel.persons
        cross join config.settings
        left join patterns on patterns.person_key = persons.person_key
        left join journeys.personas
            on personas.person_key = persons.person_key and personas.journey_index = persons.journey_count
        left join analyses.orders on orders.person_key = persons.person_key and orders.order_number = 1
    )
    select pattern, persona, is_converted, is_matured, count(*) as person_count
    from persons_placed
    group by pattern, persona, is_converted, is_matured
    order by pattern, persona, is_converted, is_matured
"""
_SETTINGS = "select high_water_at, min_count from config.settings"

Item = tuple[str, str]
"""A feature and its value."""


@python_model("analyses.early_items")
def early_items(config: Config) -> pa.Table | str:
    """Compile what is known early of each person; no row where personas are not to be discovered.

    Kinds of events at the stage of the repeated goal or later, of goals, and without a stage may be outcomes: none of
    them is a feature, nor counted in one.
    """
    if not config.discover_personas:
        return _EMPTY
    slices = "".join(
        _SLICE.format(
            number=number, feature=f"(select concat('slice: ', slice) from config.slices where slice_index = {number})"
        )
        for number in range(1, min(len(config.slices), _MOST_SLICES) + 1)
    )
    return _ITEMS.format(timeout_us=microseconds(config.sessions.timeout)) + slices


@dataclass(frozen=True)
class Model:
    """A fitted model with the names of its classes.

    Attributes
    ----------
    groups
        Items that exclude one another: the values of a feature, or one touchpoint.
    has_rest
        Of each group, whether it has a last level for persons with none of its items; else they are unknown in it.
    fitted_at
        High-water mark of the run that fitted it.
    """

    groups: tuple[tuple[Item, ...], ...]
    has_rest: tuple[bool, ...]
    classes: LatentClasses
    names: tuple[str, ...]
    stability: Floats
    fitted_at: datetime

    @property
    def items(self) -> list[Item]:
        """Every item in the order of the groups."""
        return [item for group in self.groups for item in group]

    def answers(self, bits: dict[Item, Floats], counts: Floats) -> Answers:
        """Return the patterns of persons as answers; `bits` says of each item which patterns have it."""
        return _answers(self.groups, self.has_rest, bits, counts)

    def item_rates(self) -> Iterator[tuple[Item, Floats, float]]:
        """Yield each item with its chance in each class and in all."""
        at = 0
        for group, has_rest in zip(self.groups, self.has_rest, strict=True):
            for item in group:
                rates = self.classes.rates[at]
                yield item, rates, float(rates @ self.classes.shares)
                at += 1
            at += has_rest


def _answers(
    groups: Sequence[Sequence[Item]], has_rest: Sequence[bool], bits: dict[Item, Floats], counts: Floats
) -> Answers:
    levels: list[Floats] = []
    starts: list[int] = []
    for group, with_rest in zip(groups, has_rest, strict=True):
        starts.append(len(levels))
        nobody = np.zeros(len(counts))
        columns = [bits.get(item, nobody) for item in group]
        levels += [*columns, 1.0 - np.sum(columns, axis=0)] if with_rest else columns
    return Answers(np.column_stack(levels), np.array(starts, np.int64), counts)


@python_model(CLASSES, RATES, OVERLAPS)
def discovered_classes(engine: Engine, config: Config) -> None:
    """Put persons into latent classes by the model of the generation before, or by a new one where that fits no more.

    References
    ----------
    `docs/adr/0038-discovered-personas.md`.
    """
    schemas = {name: arrow_schema(name) for name in (CLASSES, RATES, OVERLAPS)}
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in schemas}
    if config.discover_personas:
        settings = engine.rows(_SETTINGS).to_pylist()[0]
        world = _World(engine, settings["min_count"])
        model = _model(world, _previous(config, settings["high_water_at"]), settings["high_water_at"])
        persons = world.cells(model.items if model else [])
        rows = dict(zip(schemas, _rows(model, persons), strict=True))
    for name, schema in schemas.items():
        engine.register(name, pa.Table.from_pylist(rows[name], schema=schema))


class _World:
    """The persons of the build by what is known early of them."""

    def __init__(self, engine: Engine, min_count: int) -> None:
        self._engine, self._min_count = engine, min_count

    def cells(self, items: Sequence[Item]) -> pl.DataFrame:
        """Return how many persons have which of the items: `pattern` has the bit n for the n-th."""
        columns = [[item[0] for item in items], [item[1] for item in items], [1 << n for n in range(len(items))]]
        found = pl.from_arrow(self._engine.rows(_CELLS, columns))
        assert isinstance(found, pl.DataFrame)
        return found

    def patterns(self, items: Sequence[Item]) -> tuple[dict[Item, Floats], Floats]:
        """Return of each item which patterns have it, and the persons of each pattern."""
        cells = self.cells(items).drop_nulls("pattern").group_by("pattern").agg(pl.col("person_count").sum())
        cells = cells.sort("pattern")
        return bits_of(cells["pattern"].to_numpy(), items), cells["person_count"].to_numpy().astype(np.float64)

    def groups(self) -> list[tuple[Item, ...]]:
        """Return the features of a new model: values that enough persons have, and not all."""
        counts = self._engine.rows(_COUNTS).to_pylist()
        total = self._engine.values("select count(distinct person_key) from analyses.early_items")[0][0]
        if total < FEWEST_PERSONS:
            return []
        least = max(self._min_count, _LEAST_SHARE * total)
        kept = [row for row in counts if row["person_count"] >= least]
        kept.sort(key=lambda row: (row["feature"], abs(row["person_count"] - total / 2), row["value"]))
        groups: list[tuple[Item, ...]] = []
        for feature, rows in groupby(kept, key=lambda row: str(row["feature"])):
            found = [((feature, str(row["value"])), row["person_count"]) for row in rows]
            if feature == TOUCHPOINT:
                groups += [(item,) for item, count in found if count <= total - least][:_MOST_TOUCHPOINTS]
            elif len(found) > 1 or found[0][1] <= total - least:
                most = sorted(found, key=lambda each: (-each[1], each[0]))[:_MOST_VALUES]
                groups.append(tuple(item for item, _ in most))
        return sorted(groups, key=lambda group: group[0][0] == TOUCHPOINT)


def bits_of(patterns: Ints, items: Sequence[Item]) -> dict[Item, Floats]:
    """Return of each item which patterns have its bit, as 0 and 1."""
    return {item: ((patterns >> n) & 1).astype(np.float64) for n, item in enumerate(items)}


def _model(world: _World, previous: Model | None, now: datetime) -> Model | None:
    """Return the previous model where it still fits, else a new one whose classes keep the names of like ones."""
    if previous is not None:
        answers = previous.answers(*world.patterns(previous.items))
        if len(answers.counts) and not has_drifted(_drawn(answers), previous.classes):
            return previous
    groups = world.groups()
    if not groups:
        return None
    items = [item for group in groups for item in group]
    old = [item for item in previous.items if item not in items] if previous else []
    bits, counts = world.patterns([*items, *old][:_MOST_BITS])
    groups = without_twins(groups, bits, counts)
    return fit_model(groups, bits, counts, now, previous)


def fit_model(
    groups: Sequence[tuple[Item, ...]],
    bits: dict[Item, Floats],
    counts: Floats,
    now: datetime,
    previous: Model | None = None,
) -> Model:
    """Fit a model to patterns of persons; a class that is most like one of `previous` has its name."""
    known = [sum(bits[item] for item in group) for group in groups]
    rest = tuple(float(counts @ (1.0 - each)) >= 0.005 * counts.sum() for each in known)
    answers = _answers(groups, rest, bits, counts)
    sample = _drawn(answers)
    found = choose_classes(sample)
    order = np.argsort(-found.shares, kind="stable")
    found = LatentClasses(found.shares[order], found.rates[:, order], found.log_likelihood)
    model = Model(tuple(groups), rest, found, ("",) * len(order), stability(sample, found), now)
    kept: dict[int, str] = {}
    if previous is not None:
        own = posteriors(answers, found)[0].argmax(axis=1)
        old = posteriors(previous.answers(bits, counts), previous.classes)[0].argmax(axis=1)
        kept = matched(similarity(own, old, counts, len(order), len(previous.names)), previous.names)
    return Model(model.groups, rest, found, tuple(_names(model, kept)), model.stability, now)


def matched(alike: Floats, names: Sequence[str]) -> dict[int, str]:
    """Return the names of old classes (columns) that new ones (rows) keep: the pairs of greatest similarity in all."""
    from scipy.optimize import linear_sum_assignment

    pairs = zip(*linear_sum_assignment(1.0 - alike), strict=True)
    return {int(new): names[old] for new, old in pairs if alike[new, old] >= SAME}


def has_drifted(answers: Answers, model: LatentClasses) -> bool:
    """Say whether a new fit of the classes explains persons better than `model`, all their parameters weighed (BIC)."""
    frozen = float(answers.counts @ posteriors(answers, model)[1])
    gain = 2 * (refit_classes(answers, model).log_likelihood - frozen)
    return bool(gain > answers.parameter_count(len(model.shares)) * np.log(answers.counts.sum()))


def _drawn(answers: Answers) -> Answers:
    """Return the answers of at most `MOST_FITTED` persons, drawn with a fixed seed."""
    size = answers.counts.sum()
    if size <= MOST_FITTED:
        return answers
    counts = np.random.default_rng(MOST_FITTED).multinomial(MOST_FITTED, answers.counts / size).astype(np.float64)
    return Answers(answers.levels[counts > 0], answers.starts, counts[counts > 0])


def without_twins(
    groups: Sequence[tuple[Item, ...]], bits: dict[Item, Floats], counts: Floats
) -> list[tuple[Item, ...]]:
    """Leave out touchpoints that nearly the same persons meet as have an item before them: they would count twice."""
    kept: list[tuple[Item, ...]] = []
    for group in groups:
        earlier = [bits[item] for other in kept for item in other]
        if group[0][0] != TOUCHPOINT or all(abs(_phi(bits[group[0]], each, counts)) < _TWINS for each in earlier):
            kept.append(group)
    return kept


def _phi(one: Floats, other: Floats, counts: Floats) -> float:
    size = counts.sum()
    first, second, both = counts @ one / size, counts @ other / size, counts @ (one * other) / size
    spread = np.sqrt(first * (1 - first) * second * (1 - second))
    return float((both - first * second) / spread) if spread > 0 else 0.0


def _names(model: Model, kept: dict[int, str]) -> Iterator[str]:
    """Yield the names of classes: those that are kept, else up to three features, the one of highest lift first."""
    taken = set(kept.values())
    for number in range(len(model.names)):
        if number in kept:
            yield kept[number]
            continue
        phrases = [phrase for phrase, _, lift in marks(model, number) if lift > 1.2]
        offered = [", ".join(phrases[:size]) for size in (2, 3) if phrases] or ["no marked feature"]
        offered += [f"{offered[0]} ({suffix})" for suffix in range(2, len(model.names) + 2)]
        name = next(name for name in offered if name not in taken)
        taken.add(name)
        yield name


def marks(model: Model, number: int) -> list[tuple[str, float, float]]:
    """Return the features of a class in words, with rate and lift: those that half of it have before rarer ones."""
    found = []
    for item, rates, overall in model.item_rates():
        sides = [(words(item), float(rates[number]), overall)]
        if item[0] == TOUCHPOINT:
            sides.append((f"not {item[1]}", 1.0 - float(rates[number]), 1.0 - overall))
        found += [(phrase, rate, rate / share) for phrase, rate, share in sides if share > 0 and rate >= _TYPICAL[1]]
    return sorted(found, key=lambda each: (each[1] < _TYPICAL[0], -round(each[2], 6), each[0]))


def words(item: Item) -> str:
    """Return a feature in words, such as `by email` or `met web: Blog`."""
    feature, value = item
    heads = {"channel": "on ", "source": "by ", TOUCHPOINT: "met ", "events": "", "pace": ""}
    return heads.get(feature, f"{feature.removeprefix('slice: ')} ") + value


def _rows(model: Model | None, persons: pl.DataFrame) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of the three tables."""
    names: tuple[str, ...] = ()
    if model is not None:
        patterns = persons["pattern"].fill_null(0).to_numpy()
        chances = posteriors(model.answers(bits_of(patterns, model.items), np.ones(len(patterns))), model.classes)[0]
        names, likeliest, certainty = model.names, chances.argmax(axis=1), chances.max(axis=1)
    else:
        likeliest, certainty = np.zeros(persons.height, np.int64), np.zeros(persons.height)
    placed = persons.with_columns(
        pl.Series("place", np.where(certainty < CLEAR, len(names), likeliest)), pl.Series("certainty", certainty)
    ).with_columns(pl.when(pl.col("pattern").is_null()).then(len(names) + 1).otherwise(pl.col("place")).alias("place"))
    yield _persona_rows(model, names, placed)
    yield (
        []
        if model is None
        else [
            {"discovered_persona": name, "feature": item[0], "feature_value": item[1]}
            | {"rate": float(rates[number]), "overall_rate": overall}
            for item, rates, overall in model.item_rates()
            for number, name in enumerate(names)
        ]
    )
    yield _overlap_rows((*names, "unclear", "pending"), placed)


def _persona_rows(model: Model | None, names: Sequence[str], placed: pl.DataFrame) -> list[dict[str, Any]]:
    known = int(placed.filter(pl.col("place") <= len(names))["person_count"].sum())
    rows = []
    for place, name in enumerate((*names, "unclear", "pending", "all")):
        kind = "class" if place < len(names) else name
        part = placed if kind == "all" else placed.filter(pl.col("place") == place)
        weight = part["person_count"]
        matured = part.filter("is_matured")
        count, converted = int(weight.sum()), int(part.filter("is_converted")["person_count"].sum())
        settled, reached = (int(each["person_count"].sum()) for each in (matured, matured.filter("is_converted")))
        pending = int(part.filter(~pl.col("is_matured") & ~pl.col("is_converted"))["person_count"].sum())
        row = {"discovered_persona": name, "kind": kind, "person_count": count, "converted_count": converted}
        row |= {"not_converted_count": count - converted - pending, "pending_count": pending, "matured_count": settled}
        row |= _rate("conversion", reached, settled)
        if kind in ("class", "unclear"):
            row |= {key: end for key, end in _rate("share", count, known).items() if key != "share_rate"}
            row["certainty_rate"] = float(weight.to_numpy() @ part["certainty"].to_numpy()) / count if count else None
        if model is not None and kind == "class":
            stable = float(model.stability[place])
            row |= {"prior_rate": float(model.classes.shares[place]), "stability": stable, "fitted_at": model.fitted_at}
            row["description"] = _description(model, place)
        rows.append(row)
    return rows


def _rate(name: str, count: int, total: int) -> dict[str, float | None]:
    low, high = wilson_interval(np.array([count]), np.array([total]))
    ends = (None, None) if not total else (float(low[0]), float(high[0]))
    return {f"{name}_rate": count / total if total else None, f"{name}_low": ends[0], f"{name}_high": ends[1]}


def _description(model: Model, number: int) -> str:
    found = [f"{phrase} {rate:.0%} (x {lift:.1f})" for phrase, rate, lift in marks(model, number) if lift > 1.1]
    return "; ".join(found[:6])


def _overlap_rows(names: Sequence[str], placed: pl.DataFrame) -> list[dict[str, Any]]:
    counts = placed.group_by("place", "persona").agg(pl.col("person_count").sum()).sort("place", "persona")
    return [
        {"discovered_persona": names[place], "persona": persona, "person_count": count}
        for place, persona, count in counts.iter_rows()
    ]


def _previous(config: Config, now: datetime) -> Model | None:
    """Return the model of the generation before; None without one, or where it is of a later time."""
    generation = (config.publish / "current").resolve()
    try:
        manifest = read_manifest(generation)
    except NotFoundError:
        return None
    tables = ("discovered_personas", "discovered_persona_features")
    if manifest.high_water_at.replace(tzinfo=None) > now or any(name not in manifest.tables for name in tables):
        return None
    personas, features = (pl.read_parquet(generation / manifest.tables[name].file) for name in tables)
    return model_of(personas, features)


def model_of(personas: pl.DataFrame, features: pl.DataFrame) -> Model | None:
    """Return the model that two published tables describe; None where they have no class."""
    classes = personas.filter(kind="class").sort("prior_rate", "discovered_persona", descending=[True, False])
    if classes.is_empty():
        return None
    names = classes["discovered_persona"].to_list()
    rates = {
        (row["feature"], row["feature_value"], row["discovered_persona"]): row["rate"]
        for row in features.iter_rows(named=True)
    }
    items = sorted({key[:2] for key in rates}, key=lambda item: (item[0] == TOUCHPOINT, item))
    groups = [tuple(group) for _, group in groupby(items, key=lambda item: item if item[0] == TOUCHPOINT else item[0])]
    levels: list[Floats] = []
    has_rest = []
    for group in groups:
        own = [np.array([rates[*item, name] for name in names]) for item in group]
        rest = 1.0 - np.sum(own, axis=0)
        has_rest.append(bool((rest > 1e-9).any()))
        levels += [*own, np.maximum(rest, 0.0)] if has_rest[-1] else own
    found = LatentClasses(classes["prior_rate"].to_numpy(), np.array(levels), 0.0)
    stable, fitted_at = classes["stability"].to_numpy(), classes["fitted_at"][0]
    return Model(tuple(groups), tuple(has_rest), found, tuple(names), stable, fitted_at)
