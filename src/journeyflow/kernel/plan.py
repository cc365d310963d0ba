"""The kernel plan: models, funnels and exposures of a run as integers and arrays over event types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.compile.conditions import exclusion_predicate, reads_stage, rule_predicate, step_predicate
from journeyflow.compile.staging_events import unit_properties
from journeyflow.config import Config
from journeyflow.config import models_and_funnels as sections
from journeyflow.config.base import microseconds
from journeyflow.config.conditions import Condition
from journeyflow.config.models_and_funnels import JourneyModel, PlacedRule
from journeyflow.engines import Engine
from journeyflow.kernel.jit import NEVER, Bools, Int16s, Int32s, Int64s

SECOND_US = 1_000_000
PURCHASE = "purchase"
SIGNAL = "signal"
"""Type of exposure that an unclassified event counts for, too."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FunnelSettings(NamedTuple):
    """The settings of a funnel as compiled functions read them; times and durations in microseconds.

    `within` is by step (0-based, the first is not read), `exclusions` has the rows (from step, to step, is_void).
    `opening` has the bits of the steps whose events may open an attempt. `is_disjoint`: no event matches two steps.
    `is_plain`: only order and exclusions restrict beside the window and the time from step 1 to step 2, `to_second`.
    """

    steps: int
    window: int
    is_strict: int
    is_any_order: int
    is_later: int
    grace: int
    is_disjoint: int
    is_plain: int
    is_attempts: int
    opening: int
    to_second: int
    entered_from: int
    entered_to: int
    within: Int64s
    exclusions: Int64s


@dataclass(frozen=True, eq=False)
class CompiledFunnel:
    """A configured funnel: its conditions as one bit each, by stage (row 0 is none; or one row) and event type.

    `unit` is `person`, `session`, or the column of a unit property (`unit_1`, …). `model_index` is 0 where no condition
    reads stages.
    """

    funnel_index: int
    unit: str
    model_index: int
    step_bits: Int32s
    exclusion_bits: Int64s
    settings: FunnelSettings


class Exclusion(NamedTuple):
    """Events that close an attempt between two steps (1-based); `is_void` for `then: person`."""

    from_step: int
    to_step: int
    when: Bools
    is_void: bool = False


def compile_funnel(
    funnel_index: int,
    steps: Sequence[Bools],
    *,
    window_us: int,
    within_us: Sequence[int | None] = (),
    exclusions: Sequence[Exclusion] = (),
    order: Literal["ordered", "strict", "any_order"] = "ordered",
    is_strictly_later: bool = False,
    grace_us: int = 0,
    unit: str = "person",
    model_index: int = 0,
    is_attempts: bool = False,
    entered_from_us: int | None = None,
    entered_to_us: int | None = None,
) -> CompiledFunnel:
    """Return a funnel as arrays and integers.

    `steps` are the conditions of the steps, by stage (or one row) and event type; `within_us` the longest times from
    the step before, inclusive; `entered_*` a half-open range.
    """
    within = [NEVER if each is None else each for each in within_us or [None] * len(steps)]
    rows = [(each.from_step - 1, each.to_step - 1, int(each.is_void)) for each in exclusions]
    matching = sum(np.asarray(np.broadcast_arrays(*steps), np.int64))
    settings = FunnelSettings(
        steps=len(steps),
        window=window_us,
        is_strict=int(order == "strict"),
        is_any_order=int(order == "any_order"),
        is_later=int(is_strictly_later),
        grace=grace_us,
        is_disjoint=int(np.max(matching, initial=0) <= 1),
        is_plain=int(order != "any_order" and not grace_us and min(within[2:], default=NEVER) == NEVER),
        is_attempts=int(is_attempts),
        opening=(1 << len(steps)) - 1 if order == "any_order" else 1,
        to_second=within[1],
        entered_from=-NEVER if entered_from_us is None else entered_from_us,
        entered_to=NEVER if entered_to_us is None else entered_to_us,
        within=np.array(within, np.int64),
        exclusions=np.array(rows, np.int64).reshape(len(rows), 3),
    )
    step_bits = np.asarray(sum(when.astype(np.int32) << bit for bit, when in enumerate(steps)), np.int32)
    exclusion_bits = np.zeros((1, step_bits.shape[1]), np.int64)
    for bit, exclusion in enumerate(exclusions):
        exclusion_bits = exclusion_bits | exclusion.when.astype(np.int64) << bit
    return CompiledFunnel(funnel_index, unit, model_index, step_bits, exclusion_bits, settings)


@dataclass(frozen=True, eq=False)
class StageFunnelPlan:
    """The stage funnel of a model."""

    funnel_index: int
    model_index: int
    window_us: int


@dataclass(frozen=True, eq=False)
class RulePlan:
    """One rule of a journey model; `when` and `after` are by event type, indexes 1-based.

    `after` are the events that must have come earlier, the latest at most `after_within_us` ago (None is any time).
    `nth_*` restrict the ordinal of the event among the person's events that satisfy `when`.
    """

    rule_index: int
    stage_index: int
    when: Bools
    after: Bools | None = None
    after_within_us: int | None = None
    nth_at_least: int | None = None
    nth_is: int | None = None

    @property
    def has_nth(self) -> bool:
        """Does the rule ask for an ordinal."""
        return self.nth_at_least is not None or self.nth_is is not None


@dataclass(frozen=True, eq=False)
class ModelPlan:
    """A journey model: `stage_count` stages in order, and the rules that find them in the order they are tried."""

    name: str
    model_index: int
    stage_count: int
    rules: tuple[RulePlan, ...]


@dataclass(frozen=True, eq=False)
class ExposurePlan:
    """What journeys are exposed to in their stages; `when` says by event type which events count.

    `is_unclassified_too`: unclassified events count in the stage of the visit in progress.
    """

    exposure_ix: int
    when: Bools
    is_unclassified_too: bool = False


class RuleTables(NamedTuple):
    """The rules of all models as flat arrays; a list by event type is a pair (start, items).

    `candidates` are by model and event type: the rules to try, in order. `after` and `nth` are the rule's slot, -1 for
    none; the slots that an event of a type fills are in `after_items` and `nth_items`.
    """

    candidate_start: Int64s
    candidates: Int32s
    stage_index: Int16s
    rule_index: Int16s
    after: Int32s
    within: Int64s
    nth: Int32s
    at_least: Int64s
    exactly: Int64s
    after_start: Int64s
    after_items: Int32s
    nth_start: Int64s
    nth_items: Int32s


class ExposureTables(NamedTuple):
    """Exposures by event type, numbered by `exposure_ix`.

    Those of type `t` are `items[start[t] : start[t + 1]]`; only those from `unclassified[t]` on count where the event
    is unclassified. `width` is above every `exposure_ix`.
    """

    start: Int64s
    unclassified: Int64s
    items: Int32s
    width: int


@dataclass(frozen=True, eq=False)
class KernelPlan:
    """Everything that the kernel needs beside the events; times and durations in microseconds.

    A gap above a timeout starts the next session or journey. `day_start_us` are the starts (UTC) of the local days over
    the data's range, `day_date` their dates as days since 1970. `purchase` and `counted` (by event name) are by event
    type: what to count by person.
    """

    event_type_count: int
    session_timeout_us: int
    session_max_us: int
    journey_timeout_us: int
    high_water_us: int
    day_start_us: Int64s
    day_date: Int32s
    models: tuple[ModelPlan, ...] = ()
    funnels: tuple[CompiledFunnel, ...] = ()
    stage_funnels: tuple[StageFunnelPlan, ...] = ()
    purchase: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    counted: dict[str, Bools] = field(default_factory=dict)
    exposures: tuple[ExposurePlan, ...] = ()

    @property
    def event_type_room(self) -> int:
        """How many event types classification keys have room for."""
        return event_type_room(self.event_type_count)

    def model(self, model_index: int) -> ModelPlan:
        """Return the model with that 1-based index."""
        return next(model for model in self.models if model.model_index == model_index)

    def day(self, at: Int64s) -> npt.NDArray[np.intp]:
        """Return the number of the local day of each time."""
        return np.searchsorted(self.day_start_us, at, side="right") - 1

    @cached_property
    def day_month(self) -> Int32s:
        """The month of each day, as 202603."""
        months = self.day_date.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
        return ((1970 + months // 12) * 100 + months % 12 + 1).astype(np.int32)

    @cached_property
    def rule_tables(self) -> RuleTables:
        """The rules of all models, for `stages.classify_events`."""
        return _rule_tables(self.models, self.event_type_count)

    @cached_property
    def journey_exposures(self) -> ExposureTables:
        """The exposures of the map's journeys."""
        classified = [each for each in self.exposures if not each.is_unclassified_too]
        both = [each for each in self.exposures if each.is_unclassified_too]
        start, items = _packed(_by_event_type(classified + both, self.event_type_count))
        unclassified = start[1:] - sum((each.when for each in both), np.zeros(self.event_type_count, np.int64))
        width = max((each.exposure_ix for each in self.exposures), default=0) + 1
        return ExposureTables(start, unclassified, items, width)


def _by_event_type(exposures: list[ExposurePlan], event_type_count: int) -> list[list[int]]:
    return [[each.exposure_ix for each in exposures if each.when[t]] for t in range(event_type_count)]


def event_type_room(event_type_count: int) -> int:
    """Return how many event types keys have room for in a run of so many: a few new ones change no key.

    Examples
    --------
    >>> event_type_room(3), event_type_room(1023), event_type_room(1024)
    (1024, 2048, 4096)
    """
    return int(max(1024, 1 << (event_type_count.bit_length() + 1)))


def _rule_tables(models: tuple[ModelPlan, ...], event_type_count: int) -> RuleTables:
    """Return rules as flat arrays; a type's candidates end with the first rule without history."""
    rules = [rule for model in models for rule in model.rules]
    with_after = [r for r, rule in enumerate(rules) if rule.after is not None]
    with_nth = [r for r, rule in enumerate(rules) if rule.has_nth]
    candidates: list[list[int]] = []
    offset = 0
    for model in models:
        candidates += [_candidates(model, offset, event_type) for event_type in range(event_type_count)]
        offset += len(model.rules)
    after_start, after_items = _slots_by_event_type([rules[r].after for r in with_after], event_type_count)
    nth_start, nth_items = _slots_by_event_type([rules[r].when for r in with_nth], event_type_count)
    return RuleTables(
        *_packed(candidates),
        stage_index=np.array([rule.stage_index for rule in rules], np.int16),
        rule_index=np.array([rule.rule_index for rule in rules], np.int16),
        after=_slots(with_after, len(rules)),
        within=np.array([NEVER if r.after_within_us is None else r.after_within_us for r in rules], np.int64),
        nth=_slots(with_nth, len(rules)),
        at_least=np.array([rule.nth_at_least or 0 for rule in rules], np.int64),
        exactly=np.array([rule.nth_is or 0 for rule in rules], np.int64),
        after_start=after_start,
        after_items=after_items,
        nth_start=nth_start,
        nth_items=nth_items,
    )


def _candidates(model: ModelPlan, offset: int, event_type: int) -> list[int]:
    found = []
    for r, rule in enumerate(model.rules):
        if rule.when[event_type]:
            found.append(offset + r)
            if rule.after is None and not rule.has_nth:
                break
    return found


def _slots_by_event_type(conditions: list[Bools | None], event_type_count: int) -> tuple[Int64s, Int32s]:
    """Return for each event type the numbers of the conditions that hold for it."""
    return _packed(
        [
            [slot for slot, when in enumerate(conditions) if when is not None and when[t]]
            for t in range(event_type_count)
        ]
    )


def _packed(rows: list[list[int]]) -> tuple[Int64s, Int32s]:
    """Return lists as one array of items and where each list starts in it, the end of the last included."""
    start = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return start, np.array([item for row in rows for item in row], np.int32)


def _slots(members: list[int], count: int) -> Int32s:
    slots = np.full(count, -1, np.int32)
    slots[members] = np.arange(len(members), dtype=np.int32)
    return slots


@dataclass(frozen=True, eq=False)
class _EventTypes:
    """Name by event type, and (event_type_ix, stage_index) arrays by predicate: where it holds."""

    count: int
    names: npt.NDArray[np.object_]
    holding: dict[str, tuple[Int32s, Int32s]]

    def named(self, name: str) -> Bools:
        """Return by event type whether it has this name."""
        found: Bools = np.asarray(self.names == name, np.bool_)
        return found

    def holds(self, predicate: str, stage_count: int = 0) -> Bools:
        """Return by stage (one row when stages are not read) and event type whether the predicate holds."""
        held = np.zeros((stage_count + 1, self.count), np.bool_)
        event_types, stages = self.holding.get(predicate, (np.zeros(0, np.int32), np.zeros(0, np.int32)))
        held[stages, event_types] = True
        return held

    def holds_when(self, predicate: str, condition: Condition, stage_count: int) -> Bools:
        """Do as `holds`, with one row for a condition that reads no stage."""
        return self.holds(predicate, stage_count if reads_stage(condition) else 0)


def plan_of(engine: Engine, config: Config) -> KernelPlan:
    """Return the plan of a run.

    The engine holds `journeys.event_types`, `map.exposures`, `map.exposure_event_types`, `config.settings`,
    `config.days`, `config.funnels` and `config.event_type_predicates`.
    """
    event_types = _event_types(engine)
    funnels = engine.rows("select funnel, funnel_index from config.funnels")
    indexes = dict(zip(funnels.column("funnel").to_pylist(), funnels.column("funnel_index").to_pylist(), strict=True))
    days = engine.rows(
        "select date_diff('microsecond', timestamp '1970-01-01', start_at) as start_us, day "
        "from config.days order by start_us"
    )
    high_water = engine.rows(
        "select date_diff('microsecond', timestamp '1970-01-01', high_water_at) as at from config.settings"
    )
    counted = [event for persona in config.personas for event in persona.counted_events]
    window_us = microseconds(config.journeys.window)
    return KernelPlan(
        event_type_count=event_types.count,
        session_timeout_us=microseconds(config.sessions.timeout),
        session_max_us=microseconds(config.sessions.max_duration),
        journey_timeout_us=microseconds(config.journeys.timeout),
        high_water_us=high_water.column("at")[0].as_py(),
        day_start_us=np.array(days.column("start_us").to_numpy()),
        day_date=np.array(days.column("day").cast(pa.int32()).to_numpy()),
        models=tuple(_model(model, event_types) for model in config.journey_models),
        funnels=tuple(_funnel(config, name, indexes[name], event_types) for name in config.funnels if name in indexes),
        stage_funnels=tuple(
            StageFunnelPlan(indexes[model.model], model.model_index, window_us)
            for model in config.journey_models
            if model.model in indexes
        ),
        purchase=event_types.named(PURCHASE),
        counted={event: event_types.named(event) for event in dict.fromkeys(counted)},
        exposures=tuple(_exposures(engine, event_types.count)),
    )


def _event_types(engine: Engine) -> _EventTypes:
    table = engine.rows("select event_type_ix, event_name from journeys.event_types")
    event_type_ix = table.column("event_type_ix").to_numpy()
    count = int(event_type_ix.max(initial=0)) + 1
    names = np.full(count, None, object)
    names[event_type_ix] = table.column("event_name").to_pylist()
    rows = engine.rows(
        "select predicate, event_type_ix, stage_index from config.event_type_predicates "
        "where is_true order by predicate, event_type_ix, stage_index"
    )
    predicates = np.array(rows.column("predicate").to_pylist(), object)
    event_types, stages = rows.column("event_type_ix").to_numpy(), rows.column("stage_index").to_numpy()
    starts = [i for i in range(len(predicates)) if i == 0 or predicates[i] != predicates[i - 1]]
    stops = [*starts[1:], len(predicates)]
    holding = {predicates[a]: (event_types[a:b], stages[a:b]) for a, b in zip(starts, stops, strict=bool(starts))}
    return _EventTypes(count, names, holding)


def _exposures(engine: Engine, event_type_count: int) -> Iterator[ExposurePlan]:
    exposed = engine.rows("select exposure_ix, event_type_ix from map.exposure_event_types")
    exposures = engine.rows("select exposure_ix, exposure_kind from map.exposures order by exposure_ix")
    when = np.zeros((exposures.num_rows + 1, event_type_count), np.bool_)
    when[exposed.column("exposure_ix").to_numpy(), exposed.column("event_type_ix").to_numpy()] = True
    for row in exposures.to_pylist():
        exposure_type = row["exposure_kind"]
        # Configured friction is searched among the pain points, not counted in the map.
        if exposure_type != "friction":
            yield ExposurePlan(
                row["exposure_ix"],
                when[row["exposure_ix"]],
                is_unclassified_too=exposure_type == SIGNAL,
            )


def _model(model: JourneyModel, event_types: _EventTypes) -> ModelPlan:
    rules = tuple(_rule(model.model, placed, event_types) for placed in model.rules)
    return ModelPlan(model.model, model.model_index, len(model.stages), rules)


def _rule(model: str, placed: PlacedRule, event_types: _EventTypes) -> RulePlan:
    after, nth = placed.rule.after, placed.rule.nth
    return RulePlan(
        rule_index=placed.rule_index,
        stage_index=placed.stage_index,
        when=event_types.holds(rule_predicate(model, placed.rule_id))[0],
        after=event_types.named(after.event) if after else None,
        after_within_us=microseconds(after.within) if after else None,
        nth_at_least=nth.at_least if nth else None,
        nth_is=nth.is_ if nth else None,
    )


def _funnel(config: Config, name: str, index: int, event_types: _EventTypes) -> CompiledFunnel:
    funnel = config.funnels[name]
    model = config.journey_model(funnel.model) if funnel.model else None
    stages = len(model.stages) if model else 0
    entered = funnel.entered
    return compile_funnel(
        index,
        [event_types.holds_when(step_predicate(name, step.name), step.when, stages) for step in funnel.steps],
        window_us=microseconds(funnel.window),
        within_us=[None if step.within is None else microseconds(step.within) for step in funnel.steps],
        exclusions=list(_exclusions(name, funnel, event_types, stages)),
        order=funnel.order,
        is_strictly_later=funnel.ties == "strictly_later",
        grace_us=microseconds(funnel.grace),
        unit=_unit(config, funnel),
        model_index=model.model_index if model else 0,
        is_attempts=funnel.count == "attempts",
        entered_from_us=_start_us(entered.from_, config.zone) if entered.from_ else None,
        entered_to_us=_start_us(entered.to + timedelta(days=1), config.zone) if entered.to else None,
    )


def _exclusions(name: str, funnel: sections.Funnel, event_types: _EventTypes, stages: int) -> Iterator[Exclusion]:
    for number, exclusion in enumerate(funnel.exclusions, 1):
        first, last = (funnel.step_names.index(step) + 1 for step in exclusion.between)
        when = event_types.holds_when(exclusion_predicate(name, number), exclusion.when, stages)
        yield Exclusion(first, last, when, exclusion.then == "person")


def _unit(config: Config, funnel: sections.Funnel) -> str:
    if funnel.unit.property is None:
        return funnel.unit.kind
    return f"unit_{unit_properties(config).index(funnel.unit.property) + 1}"


def _start_us(day: date, zone: ZoneInfo) -> int:
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    return microseconds(midnight.astimezone(UTC) - _EPOCH)
