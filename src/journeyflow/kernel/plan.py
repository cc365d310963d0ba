"""The kernel plan: models, funnels and exposures as frozen arrays and integers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.compile.staging_events import unit_properties
from journeyflow.config import Config
from journeyflow.config import funnels as sections
from journeyflow.config.base import microseconds
from journeyflow.config.conditions import Condition
from journeyflow.config.journey_models import JourneyModel, PlacedRule
from journeyflow.config.predicates import exclusion_predicate, reads_stage, rule_predicate, step_predicate
from journeyflow.engines import Engine

Bools = npt.NDArray[np.bool_]
Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]

SECOND_US = 1_000_000
MAX_STEPS = 20


@dataclass(frozen=True, eq=False)
class RulePlan:
    """One rule of a journey model.

    Parameters
    ----------
    rule_index, stage_index : int
        1-based; rules of a model are tried in the order of `rule_index`.
    when : array of bool
        By `event_type_ix`: does the stateless condition hold.
    after : array of bool or None
        By `event_type_ix`: the events that must have come earlier; None when there is no such demand.
    after_within_us : int or None
        Longest time since the latest of them, inclusive; None is any time.
    nth_at_least, nth_is : int or None
        Demands on the ordinal of the event among the person's events that satisfy `when`.
    """

    rule_index: int
    stage_index: int
    when: Bools
    after: Bools | None = None
    after_within_us: int | None = None
    nth_at_least: int | None = None
    nth_is: int | None = None


@dataclass(frozen=True, eq=False)
class ModelPlan:
    """A journey model: `stage_count` stages in order and the rules that find them."""

    name: str
    model_index: int
    stage_count: int
    rules: tuple[RulePlan, ...]


@dataclass(frozen=True, eq=False)
class StepPlan:
    """A step of a funnel.

    Parameters
    ----------
    when : array of bool, shape (stages + 1 or 1, kinds)
        Does an event of this stage (row; one row when stages are not read) and kind match.
    within_us : int or None
        Longest time from the step before, inclusive.
    """

    when: Bools
    within_us: int | None = None


@dataclass(frozen=True, eq=False)
class ExclusionPlan:
    """An event that closes an attempt between two steps (1-based); `is_void` for `then: person`."""

    from_step: int
    to_step: int
    when: Bools
    is_void: bool = False


@dataclass(frozen=True, eq=False)
class FunnelPlan:
    """A configured funnel; times in microseconds, `entered_*` as a half-open range of UTC microseconds.

    `unit` is `person`, `session`, or the column of a unit property (`unit_1`, …).
    """

    name: str
    funnel_index: int
    steps: tuple[StepPlan, ...]
    window_us: int
    order: Literal["ordered", "strict", "any_order"] = "ordered"
    is_strictly_later: bool = False
    grace_us: int = 0
    unit: str = "person"
    model_index: int = 0
    is_attempts: bool = False
    exclusions: tuple[ExclusionPlan, ...] = ()
    entered_from_us: int | None = None
    entered_to_us: int | None = None


@dataclass(frozen=True, eq=False)
class StageFunnelPlan:
    """The stage funnel of a model."""

    funnel_index: int
    model_index: int
    window_us: int


@dataclass(frozen=True, eq=False)
class ExposurePlan:
    """A thing that journeys touch in their stages.

    Parameters
    ----------
    exposure_ix : int
        From 1, as in `map.exposures`.
    when : array of bool
        By `event_type_ix`: does an event of the kind touch it.
    is_loose : bool
        Does an unclassified event touch it too, in the stage of the visit in progress.
    has_waits : bool
        Are the waits after it told.
    return_stage : int
        For returns, the stage that is returned to; else 0.
    is_of_people, is_of_passes : bool
        Is it told of the journeys of the map, of the passes through stages.
    """

    exposure_ix: int
    when: Bools
    is_loose: bool = False
    has_waits: bool = False
    return_stage: int = 0
    is_of_people: bool = True
    is_of_passes: bool = True


@dataclass(frozen=True, eq=False)
class KernelPlan:
    """Everything one pass of the kernel needs beside the events.

    Parameters
    ----------
    kind_count : int
        Kinds are numbered below it; the arrays of conditions have this length.
    session_timeout_us, session_max_us, journey_timeout_us : int
        A gap above a timeout starts the next session or journey; a session lasts at most `session_max_us`.
    high_water_us : int
        The time up to which events are known.
    day_start_us, day_date : array
        Starts (UTC) of the local days over the data's range, ascending, and their dates as days since 1970.
    purchase, counted : array of bool; dict of arrays
        By `event_type_ix`: purchases; and for each event name that a persona counts, its kinds.
    """

    kind_count: int
    session_timeout_us: int
    session_max_us: int
    journey_timeout_us: int
    high_water_us: int
    day_start_us: Int64s
    day_date: Int32s
    models: tuple[ModelPlan, ...] = ()
    funnels: tuple[FunnelPlan, ...] = ()
    stage_funnels: tuple[StageFunnelPlan, ...] = ()
    purchase: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    counted: dict[str, Bools] = field(default_factory=dict)
    subjects: tuple[ExposurePlan, ...] = ()

    @property
    def kind_room(self) -> int:
        """How many kinds labels have room for."""
        return event_type_room(self.kind_count)

    def model(self, model_index: int) -> ModelPlan:
        """Return the model with that 1-based index."""
        return next(model for model in self.models if model.model_index == model_index)


def event_type_room(kind_count: int) -> int:
    """Return how many kinds labels have room for in a run of `kind_count` kinds: a few new kinds change no label.

    Examples
    --------
    >>> kind_room(3), kind_room(1023), kind_room(1024)
    (1024, 2048, 4096)
    """
    return int(max(1024, 1 << (kind_count.bit_length() + 1)))


PURCHASE = "purchase"
TOUCHPOINT = "touchpoint"
LOOSE = ("friction", "signal")
"""Kinds of subjects that an event touches although no rule finds its stage."""
PAINS = ("friction", "return")
"""Kinds of subjects that are told of passes only; touchpoints are told of both, the others of the map."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class _EventTypes:
    """What is true of the event kinds: name by kind, and (event_type_ix, stage_index) arrays by predicate."""

    count: int
    names: npt.NDArray[np.object_]
    truths: dict[str, tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]]

    def named(self, name: str) -> Bools:
        """Return by kind whether the event has this name."""
        found: Bools = np.asarray(self.names == name, np.bool_)
        return found

    def holds(self, predicate: str, stage_count: int = 0) -> Bools:
        """Return by stage (one row when stages are not read) and kind whether the predicate holds."""
        held = np.zeros((stage_count + 1, self.count), np.bool_)
        kinds, stages = self.truths.get(predicate, (np.zeros(0, np.int32), np.zeros(0, np.int32)))
        held[stages, kinds] = True
        return held


def plan_of(engine: Engine, config: Config) -> KernelPlan:
    """Return what the kernel is to do in this run.

    Parameters
    ----------
    engine : Engine
        Holds `journeys.event_types`, `map.exposures`, `map.exposure_event_types`, `config.event_type_predicates`,
        `config.funnels`, `config.settings`, `config.days`.
    config : Config
    """
    kinds = _event_types(engine)
    indexes = _pairs(engine, "select funnel, funnel_index from config.funnels")
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
        kind_count=kinds.count,
        session_timeout_us=microseconds(config.sessions.timeout),
        session_max_us=microseconds(config.sessions.max_duration),
        journey_timeout_us=microseconds(config.journeys.timeout),
        high_water_us=high_water.column("at")[0].as_py(),
        day_start_us=np.array(days.column("start_us").to_numpy()),
        day_date=np.array(days.column("day").cast(pa.int32()).to_numpy()),
        models=tuple(_model(model, kinds) for model in config.journey_models),
        funnels=tuple(_funnel(config, name, indexes[name], kinds) for name in config.funnels if name in indexes),
        stage_funnels=tuple(
            StageFunnelPlan(indexes[model.model], model.model_index, window_us)
            for model in config.journey_models
            if model.model in indexes
        ),
        purchase=kinds.named(PURCHASE),
        counted={event: kinds.named(event) for event in dict.fromkeys(counted)},
        subjects=tuple(_exposures(engine, kinds.count)),
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
    kinds, stages = rows.column("event_type_ix").to_numpy(), rows.column("stage_index").to_numpy()
    starts = [i for i in range(len(predicates)) if i == 0 or predicates[i] != predicates[i - 1]]
    stops = [*starts[1:], len(predicates)]
    truths = {predicates[a]: (kinds[a:b], stages[a:b]) for a, b in zip(starts, stops, strict=bool(starts))}
    return _EventTypes(count, names, truths)


def _pairs(engine: Engine, select: str) -> dict[str, int]:
    table = engine.rows(select)
    return dict(zip(table.column(0).to_pylist(), table.column(1).to_pylist(), strict=True))


def _exposures(engine: Engine, kind_count: int) -> Iterator[ExposurePlan]:
    affected = engine.rows("select exposure_ix, event_type_ix from map.exposure_event_types")
    exposure_ix, event_type_ix = affected.column("exposure_ix").to_numpy(), affected.column("event_type_ix").to_numpy()
    subjects = engine.rows("select exposure_ix, exposure_kind, subject from map.exposures order by exposure_ix")
    when = np.zeros((subjects.num_rows + 1, kind_count), np.bool_)
    when[exposure_ix, event_type_ix] = True
    for row in subjects.to_pylist():
        number, kind = row["exposure_ix"], row["exposure_kind"]
        stage = int(row["subject"]) if kind == "return" else 0
        yield ExposurePlan(
            number,
            when[number],
            kind in LOOSE,
            kind == TOUCHPOINT,
            stage,
            kind not in PAINS,
            kind in (TOUCHPOINT, *PAINS),
        )


def _model(model: JourneyModel, kinds: _EventTypes) -> ModelPlan:
    rules = tuple(_rule(model.model, placed, kinds) for placed in model.rules)
    return ModelPlan(model.model, model.model_index, len(model.stages), rules)


def _rule(model: str, placed: PlacedRule, kinds: _EventTypes) -> RulePlan:
    after, nth = placed.rule.after, placed.rule.nth
    return RulePlan(
        rule_index=placed.rule_index,
        stage_index=placed.stage_index,
        when=kinds.holds(rule_predicate(model, placed.rule_id))[0],
        after=kinds.named(after.event) if after else None,
        after_within_us=microseconds(after.within) if after else None,
        nth_at_least=nth.at_least if nth else None,
        nth_is=nth.is_ if nth else None,
    )


def _funnel(config: Config, name: str, index: int, kinds: _EventTypes) -> FunnelPlan:
    funnel = config.funnels[name]
    model = config.journey_model(funnel.model) if funnel.model else None
    stages = len(model.stages) if model else 0
    entered = funnel.entered
    return FunnelPlan(
        name=name,
        funnel_index=index,
        steps=tuple(_steps(config, name, kinds, stages)),
        window_us=microseconds(funnel.window),
        order=funnel.order,
        is_strictly_later=funnel.ties == "strictly_later",
        grace_us=microseconds(funnel.grace),
        unit=_unit(config, funnel),
        model_index=model.model_index if model else 0,
        is_attempts=funnel.count == "attempts",
        exclusions=tuple(_exclusions(config, name, kinds, stages)),
        entered_from_us=_start_us(entered.from_, config.zone) if entered.from_ else None,
        entered_to_us=_start_us(entered.to + timedelta(days=1), config.zone) if entered.to else None,
    )


def _steps(config: Config, name: str, kinds: _EventTypes, stages: int) -> Iterator[StepPlan]:
    for step in config.funnels[name].steps:
        within = microseconds(step.within) if step.within is not None else None
        yield StepPlan(_held(kinds, step_predicate(name, step.name), step.when, stages), within)


def _exclusions(config: Config, name: str, kinds: _EventTypes, stages: int) -> Iterator[ExclusionPlan]:
    steps = config.funnels[name].step_names
    for number, exclusion in enumerate(config.funnels[name].exclusions, 1):
        start, stop = (steps.index(step) + 1 for step in exclusion.between)
        when = _held(kinds, exclusion_predicate(name, number), exclusion.when, stages)
        yield ExclusionPlan(start, stop, when, exclusion.then == "person")


def _held(kinds: _EventTypes, predicate: str, condition: Condition, stages: int) -> Bools:
    """Return the truth by stage and kind; a condition that reads no stage is true of its kind at every stage."""
    if reads_stage(condition):
        return kinds.holds(predicate, stages)
    return kinds.holds(predicate)


def _unit(config: Config, funnel: sections.Funnel) -> str:
    if funnel.unit.property is None:
        return funnel.unit.kind
    return f"unit_{unit_properties(config).index(funnel.unit.property) + 1}"


def _start_us(day: date, zone: ZoneInfo) -> int:
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    return microseconds(midnight.astimezone(UTC) - _EPOCH)
