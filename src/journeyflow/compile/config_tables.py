"""The configuration as relations `config.*` that models join."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from journeyflow.config import Config
from journeyflow.config.base import microseconds
from journeyflow.config.conditions import render
from journeyflow.config.experience import Promise
from journeyflow.config.journey_models import BUILTIN_MODELS, builtin_stages, vocabulary
from journeyflow.config.personas import UNASSIGNED, Persona

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.config.experience import Desired, PersonaMap


RATE = pa.decimal128(18, 8)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STAMP = pa.timestamp("us")


def config_tables(
    config: Config, *, run_id: str, high_water_us: int, first_event_us: int, person_secret: str
) -> dict[str, pa.Table]:
    """Return every relation of `config.*` that the configuration alone gives.

    Parameters
    ----------
    config : Config
    run_id : str
        The run, for `config.settings`.
    high_water_us, first_event_us : int
        Microseconds since the epoch, UTC: the high-water mark, and the earliest event up to it; they bound
        `config.days`.
    person_secret : str
        What published person ids are hashed with; never published.

    Returns
    -------
    dict of str to Table
        ``config.<name>`` → one row per thing, in the order of the configuration; columns as in `sql/config/<name>.yml`.
    """
    return {
        "config.settings": _settings(config, run_id, high_water_us, person_secret),
        "config.sources": _sources(config),
        "config.models": _models(config),
        "config.stages": _stages(config),
        "config.rules": _rules(config),
        "config.funnels": _funnels(config),
        "config.funnel_steps": _funnel_steps(config),
        "config.personas": _personas(config),
        "config.persona_traits": _persona_traits(config),
        "config.counted_events": _counted_events(config),
        "config.goals": _goals(config),
        "config.rates": _rates(config),
        "config.days": _days(config.zone, first_event_us, high_water_us),
    }


def funnel_indexes(config: Config) -> dict[str, int]:
    """Return the `funnel_index` of every funnel: first the stage funnels, as their models; then the configured ones."""
    names = [*(model.model for model in config.journey_models), *config.funnels]
    return {name: index for index, name in enumerate(names, start=1)}


def _table(rows: Iterable[Sequence[Any]], columns: Mapping[str, pa.DataType]) -> pa.Table:
    listed = list(rows)
    arrays = [pa.array([row[n] for row in listed], type=kind) for n, kind in enumerate(columns.values())]
    return pa.table(arrays, schema=pa.schema(list(columns.items())))


def _seconds(duration: timedelta) -> int:
    """Round up to whole seconds; the kernel reads the exact duration from the configuration."""
    return -(-microseconds(duration) // 1_000_000)


def _settings(config: Config, run_id: str, high_water_us: int, person_secret: str) -> pa.Table:
    columns = {
        "project": pa.string(),
        "timezone": pa.string(),
        "high_water_at": _STAMP,
        "journeys_timeout_seconds": pa.int64(),
        "journeys_window_seconds": pa.int64(),
        "min_count": pa.int64(),
        "report_currency": pa.string(),
        "is_clear_person_id": pa.bool_(),
        "person_secret": pa.string(),
        "run_id": pa.string(),
    }
    journeys = config.journeys
    row = (
        config.project,
        config.timezone,
        high_water_us,
        _seconds(journeys.timeout),
        _seconds(journeys.window),
        config.min_count,
    )
    is_clear = config.privacy.person_id == "clear"
    return _table([(*row, config.currency.report, is_clear, person_secret, run_id)], columns)


def _sources(config: Config) -> pa.Table:
    return _table(_numbered(config.sources), {"source": pa.string(), "source_ix": pa.int32()})


def _models(config: Config) -> pa.Table:
    rows = [(model.model, model.model_index) for model in config.journey_models]
    return _table(rows, {"model": pa.string(), "model_index": pa.int32()})


def _stages(config: Config) -> pa.Table:
    columns = {
        "model": pa.string(),
        "model_index": pa.int32(),
        "stage": pa.string(),
        "stage_index": pa.int32(),
        "owner": pa.string(),
    }
    owners = config.map.owners
    return _table(
        (
            (model.model, model.model_index, stage.name, stage_index, stage.owner or owners.get(stage.name))
            for model in config.journey_models
            for stage_index, stage in enumerate(model.stages, 1)
        ),
        columns,
    )


def _rules(config: Config) -> pa.Table:
    columns = {
        "model": pa.string(),
        "model_index": pa.int32(),
        "rule_id": pa.string(),
        "rule_index": pa.int32(),
        "stage": pa.string(),
        "stage_index": pa.int32(),
        "has_history": pa.bool_(),
    }
    return _table(
        (
            (
                model.model,
                model.model_index,
                placed.rule_id,
                placed.rule_index,
                placed.stage,
                placed.stage_index,
                placed.rule.has_history,
            )
            for model in config.journey_models
            for placed in model.rules
        ),
        columns,
    )


def _funnels(config: Config) -> pa.Table:
    columns = {
        "funnel": pa.string(),
        "funnel_index": pa.int32(),
        "kind": pa.string(),
        "unit": pa.string(),
        "model": pa.string(),
        "step_count": pa.int32(),
        "window_seconds": pa.int64(),
        "goal": pa.string(),
        "order_type": pa.string(),
        "count_mode": pa.string(),
    }
    return _table(_funnel_rows(config), columns)


def _funnel_rows(config: Config) -> Iterator[tuple[Any, ...]]:
    indexes = funnel_indexes(config)
    window = _seconds(config.journeys.window)
    goal = next(iter(config.goals), None)
    for model in config.journey_models:
        stage_count = len(model.stages)
        yield (
            model.model,
            indexes[model.model],
            "stages",
            "person",
            model.model,
            stage_count,
            window,
            goal,
            "ordered",
            "best",
        )
    for name, funnel in config.funnels.items():
        kind = (name, indexes[name], "steps", str(funnel.unit), funnel.model, len(funnel.steps))
        yield (*kind, _seconds(funnel.window), funnel.goal, funnel.order, funnel.count)


def _funnel_steps(config: Config) -> pa.Table:
    indexes = funnel_indexes(config)
    named = {model.model: model.stage_names for model in config.journey_models}
    named |= {name: funnel.level_names for name, funnel in config.funnels.items()}
    rows = (
        (funnel, indexes[funnel], step_index, step)
        for funnel, steps in named.items()
        for step_index, step in enumerate(steps, 1)
    )
    columns = {"funnel": pa.string(), "funnel_index": pa.int32(), "step_index": pa.int32(), "step": pa.string()}
    return _table(rows, columns)


def _personas(config: Config) -> pa.Table:
    undated = undated_traits(config)
    columns = {
        "persona": pa.string(),
        "persona_index": pa.int32(),
        "rule": pa.string(),
        "description": pa.string(),
        "is_outcome_based": pa.bool_(),
        "is_trait_undated": pa.bool_(),
        "is_as_of_now": pa.bool_(),
    }
    rows: list[tuple[Any, ...]] = [
        (
            each.name,
            index,
            render(each.when),
            each.description,
            each.is_outcome_based,
            _is_undated(each, undated),
            each.as_of == "now",
        )
        for index, each in enumerate(config.personas, 1)
    ]
    rows.append((UNASSIGNED, len(rows) + 1, "no other persona's rule holds", None, False, False, False))
    return _table(rows, columns)


def undated_traits(config: Config) -> frozenset[str]:
    """Return the traits that some file gives without `valid_from`: values of today, not of the journey."""
    return frozenset(trait for people in config.people if people.valid_from is None for trait in people.traits)


def _is_undated(persona: Persona, undated: frozenset[str]) -> bool:
    return any(trait in undated for trait in persona.traits)


def _persona_traits(config: Config) -> pa.Table:
    traits = dict.fromkeys(trait for persona in config.personas for trait in persona.traits)
    return _table(((trait,) for trait in traits), {"trait": pa.string()})


def _counted_events(config: Config) -> pa.Table:
    events = dict.fromkeys(event for persona in config.personas for event in persona.counted_events)
    return _table(((event,) for event in events), {"event_name": pa.string()})


def _goals(config: Config) -> pa.Table:
    rows = ((name, goal.value, index) for index, (name, goal) in enumerate(config.goals.items(), 1))
    return _table(rows, {"goal": pa.string(), "value": pa.string(), "goal_index": pa.int32()})


def _rates(config: Config) -> pa.Table:
    rates = config.currency.rates | {config.currency.report: Decimal(1)}
    return _table(rates.items(), {"currency": pa.string(), "rate": RATE})


def _numbered(names: Iterable[str]) -> Iterator[tuple[str, int]]:
    return ((name, index) for index, name in enumerate(names, 1))


def _days(zone: ZoneInfo, first_us: int, last_us: int) -> pa.Table:
    """List the local days of the data, each with its true ends in UTC: 23, 24 or 25 hours apart where clocks change."""
    columns = {"day_index": pa.int32(), "day": pa.date32(), "start_at": _STAMP, "end_at": _STAMP, "month": pa.string()}
    first, last = (_local_day(instant, zone) for instant in (min(first_us, last_us), last_us))
    days = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
    starts = [_start_us(day, zone) for day in (*days, last + timedelta(days=1))]
    rows = ((index, day, starts[index - 1], starts[index], day.isoformat()[:7]) for index, day in enumerate(days, 1))
    return _table(rows, columns)


def _local_day(instant_us: int, zone: ZoneInfo) -> date:
    return (_EPOCH + timedelta(microseconds=instant_us)).astimezone(zone).date()


def _start_us(day: date, zone: ZoneInfo) -> int:
    """Return the first instant of a local day; where midnight is skipped, that is when the clock jumps over it."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    return microseconds(midnight.astimezone(UTC) - _EPOCH)


_SURVEYS = pa.schema(
    {
        "survey": pa.string(),
        "survey_index": pa.int32(),
        "event": pa.string(),
        "kind": pa.string(),
        "least": pa.float64(),
        "most": pa.float64(),
        "is_low_good": pa.bool_(),
        "has_score": pa.bool_(),
        "has_text": pa.bool_(),
    }
)
_PROMISES = pa.schema(
    {
        "promise": pa.string(),
        "promise_index": pa.int32(),
        "kind": pa.string(),
        "model": pa.string(),
        "model_index": pa.int32(),
        "stage": pa.string(),
        "stage_index": pa.int32(),
        "is_last_stage": pa.bool_(),
        "within_us": pa.int64(),
        "match_property": pa.string(),
        "survey": pa.string(),
        "target": pa.float64(),
        "is_at_most": pa.bool_(),
    }
)


def experience_tables(config: Config) -> dict[str, pa.Table]:
    """Return the relations of surveys and promises.

    Parameters
    ----------
    config : Config

    Returns
    -------
    dict of str to Table
        ``config.surveys`` and ``config.promises``: one row per thing, in the order of the configuration; columns as in
        `sql/config/<name>.yml`.
    """
    return {
        "config.surveys": pa.Table.from_pylist(list(_surveys(config)), schema=_SURVEYS),
        "config.promises": pa.Table.from_pylist(list(_promises(config)), schema=_PROMISES),
    }


def _surveys(config: Config) -> Iterator[dict[str, Any]]:
    for index, (name, survey) in enumerate(config.surveys.items(), 1):
        least, most = survey.scale or (None, None)
        yield {
            "survey": name,
            "survey_index": index,
            "event": survey.event,
            "kind": survey.kind,
            "least": least,
            "most": most,
            "is_low_good": survey.is_low_good,
            "has_score": survey.score is not None,
            "has_text": survey.text is not None,
        }


def _promises(config: Config) -> Iterator[dict[str, Any]]:
    for index, promise in enumerate(config.promises, 1):
        yield {"promise": promise.name, "promise_index": index} | _place(config, promise) | _terms(promise)


def _place(config: Config, promise: Promise) -> dict[str, Any]:
    """Find the first model where people can go on from the promise's stage; else the first that has the stage."""
    places = [
        (stage_index == len(model.stages), model, stage_index)
        for model in config.journey_models
        for stage_index, stage in enumerate(model.stage_names, 1)
        if stage == promise.stage
    ]
    is_last, model, stage_index = min(places, key=lambda place: place[0])
    return {
        "model": model.model,
        "model_index": model.model_index,
        "stage": promise.stage,
        "stage_index": stage_index,
        "is_last_stage": is_last,
    }


def _terms(promise: Promise) -> dict[str, Any]:
    """Say what keeps the promise: an event within a time, or a score on the good side of a bound."""
    if promise.within is not None:
        terms = {"within_us": microseconds(promise.within), "match_property": promise.match, "target": 1.0}
        return {"kind": "timed", **terms}
    target = promise.target
    is_at_most = target is not None and target.at_most is not None
    bound = None if target is None else target.at_most if is_at_most else target.at_least
    return {"kind": "measured", "survey": promise.measure, "target": bound, "is_at_most": is_at_most}


ASPECTS = {"goals": "goal", "needs": "need", "quotes": "quote"}
"""Section of a persona in `map:` → the aspect of the map's cell that it fills."""


def map_tables(config: Config) -> dict[str, pa.Table]:
    """Return the relations of `config.*` that the journey map reads.

    Parameters
    ----------
    config : Config

    Returns
    -------
    dict of str to Table
        ``config.map_cells`` (persona, stage, aspect, text), ``config.desired`` (persona, stage, measure, desired),
        ``config.builtin_rules`` (model_index, rule_index), ``config.unstaged_events`` (event_name); rows in the order
        of the configuration.
    """
    return {
        "config.map_cells": _map_table(_map_cells(config), "persona stage aspect text"),
        "config.desired": _map_table(_desired(config), "persona stage measure", desired=pa.float64()),
        "config.builtin_rules": _map_table(_builtin_rules(config), "", model_index=pa.int32(), rule_index=pa.int32()),
        "config.unstaged_events": _map_table(_unstaged_events(), "event_name"),
    }


def _map_table(rows: Iterator[tuple[Any, ...]], texts: str, **others: pa.DataType) -> pa.Table:
    schema = pa.schema([*((name, pa.string()) for name in texts.split()), *others.items()])
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)


def _map_personas(config: Config) -> Iterator[tuple[str, PersonaMap]]:
    yield from config.map.personas.items()


def _map_cells(config: Config) -> Iterator[tuple[str, str, str, str]]:
    for persona, supplied in _map_personas(config):
        for section, aspect in ASPECTS.items():
            for stage, text in getattr(supplied, section).items():
                yield persona, stage, aspect, text


def _desired(config: Config) -> Iterator[tuple[str, str, str, float]]:
    for persona, supplied in _map_personas(config):
        for stage, desired in supplied.desired.items():
            for measure, value in _measures(desired):
                yield persona, stage, measure, value


def _measures(desired: Desired) -> Iterator[tuple[str, float]]:
    if desired.reach_rate is not None:
        yield "reach_rate", desired.reach_rate
    if desired.p50_time is not None:
        yield "p50_time", desired.p50_time.total_seconds()
    if desired.sentiment is not None:
        yield "sentiment", desired.sentiment


def _builtin_rules(config: Config) -> Iterator[tuple[int, int]]:
    """Yield the rules that nobody wrote in `journeyflow.yml`: those of built-in models, extended ones included."""
    shipped = [rule for name in BUILTIN_MODELS for stage in builtin_stages(name) for rule in stage.rules]
    for model in config.journey_models:
        for placed in model.rules:
            if placed.rule in shipped:
                yield model.model_index, placed.rule_index


def _unstaged_events() -> Iterator[tuple[str]]:
    yield from ((word.event,) for word in vocabulary() if not word.is_staged)
