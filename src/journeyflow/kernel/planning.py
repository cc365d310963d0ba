"""From the configuration and its relations to a `KernelPlan`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.compile import unit_properties
from journeyflow.config import Config
from journeyflow.config import funnels as sections
from journeyflow.config.conditions import Condition
from journeyflow.config.durations import microseconds
from journeyflow.config.journey_models import JourneyModel, PlacedRule
from journeyflow.config.predicates import exclusion_predicate, reads_stage, rule_predicate, step_predicate
from journeyflow.engines import Engine
from journeyflow.kernel.plan import Bools, Exclusion, Funnel, KernelPlan, Model, Rule, StageFunnel, Step, Subject

PURCHASE = "purchase"
TOUCHPOINT = "touchpoint"
LOOSE = ("friction", "signal")
"""Kinds of subjects that an event touches although no rule finds its stage."""
PAINS = ("friction", "return")
"""Kinds of subjects that are told of passes only; touchpoints are told of both, the others of the map."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class _Kinds:
    """What is true of the event kinds: name by kind, and (kind_ix, stage_index) arrays by predicate."""

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
        Holds `journeys.event_kinds`, `journeys.touch_subjects`, `journeys.subject_kinds`, `config.kind_truths`,
        `config.funnels`, `config.settings`, `config.days`.
    config : Config
    """
    kinds = _kinds(engine)
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
            StageFunnel(indexes[model.model], model.model_index, window_us)
            for model in config.journey_models
            if model.model in indexes
        ),
        purchase=kinds.named(PURCHASE),
        counted={event: kinds.named(event) for event in dict.fromkeys(counted)},
        subjects=tuple(_subjects(engine, kinds.count)),
    )


def _kinds(engine: Engine) -> _Kinds:
    table = engine.rows("select kind_ix, event_name from journeys.event_kinds")
    kind_ix = table.column("kind_ix").to_numpy()
    count = int(kind_ix.max(initial=0)) + 1
    names = np.full(count, None, object)
    names[kind_ix] = table.column("event_name").to_pylist()
    rows = engine.rows(
        "select predicate, kind_ix, stage_index from config.kind_truths "
        "where is_true order by predicate, kind_ix, stage_index"
    )
    predicates = np.array(rows.column("predicate").to_pylist(), object)
    kinds, stages = rows.column("kind_ix").to_numpy(), rows.column("stage_index").to_numpy()
    starts = [i for i in range(len(predicates)) if i == 0 or predicates[i] != predicates[i - 1]]
    stops = [*starts[1:], len(predicates)]
    truths = {predicates[a]: (kinds[a:b], stages[a:b]) for a, b in zip(starts, stops, strict=bool(starts))}
    return _Kinds(count, names, truths)


def _pairs(engine: Engine, select: str) -> dict[str, int]:
    table = engine.rows(select)
    return dict(zip(table.column(0).to_pylist(), table.column(1).to_pylist(), strict=True))


def _subjects(engine: Engine, kind_count: int) -> Iterator[Subject]:
    touched = engine.rows("select subject_ix, kind_ix from journeys.subject_kinds")
    subject_ix, kind_ix = touched.column("subject_ix").to_numpy(), touched.column("kind_ix").to_numpy()
    subjects = engine.rows("select subject_ix, subject_kind, subject from journeys.touch_subjects order by subject_ix")
    when = np.zeros((subjects.num_rows + 1, kind_count), np.bool_)
    when[subject_ix, kind_ix] = True
    for row in subjects.to_pylist():
        number, kind = row["subject_ix"], row["subject_kind"]
        stage = int(row["subject"]) if kind == "return" else 0
        yield Subject(
            number,
            when[number],
            kind in LOOSE,
            kind == TOUCHPOINT,
            stage,
            kind not in PAINS,
            kind in (TOUCHPOINT, *PAINS),
        )


def _model(model: JourneyModel, kinds: _Kinds) -> Model:
    rules = tuple(_rule(model.model, placed, kinds) for placed in model.rules)
    return Model(model.model, model.model_index, len(model.stages), rules)


def _rule(model: str, placed: PlacedRule, kinds: _Kinds) -> Rule:
    after, nth = placed.rule.after, placed.rule.nth
    return Rule(
        rule_index=placed.rule_index,
        stage_index=placed.stage_index,
        when=kinds.holds(rule_predicate(model, placed.rule_id))[0],
        after=kinds.named(after.event) if after else None,
        after_within_us=microseconds(after.within) if after else None,
        nth_at_least=nth.at_least if nth else None,
        nth_is=nth.is_ if nth else None,
    )


def _funnel(config: Config, name: str, index: int, kinds: _Kinds) -> Funnel:
    funnel = config.funnels[name]
    model = config.journey_model(funnel.model) if funnel.model else None
    stages = len(model.stages) if model else 0
    entered = funnel.entered
    return Funnel(
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


def _steps(config: Config, name: str, kinds: _Kinds, stages: int) -> Iterator[Step]:
    for step in config.funnels[name].steps:
        within = microseconds(step.within) if step.within is not None else None
        yield Step(_held(kinds, step_predicate(name, step.name), step.when, stages), within)


def _exclusions(config: Config, name: str, kinds: _Kinds, stages: int) -> Iterator[Exclusion]:
    steps = config.funnels[name].step_names
    for number, exclusion in enumerate(config.funnels[name].exclusions, 1):
        start, stop = (steps.index(step) + 1 for step in exclusion.between)
        when = _held(kinds, exclusion_predicate(name, number), exclusion.when, stages)
        yield Exclusion(start, stop, when, exclusion.then == "person")


def _held(kinds: _Kinds, predicate: str, condition: Condition, stages: int) -> Bools:
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
