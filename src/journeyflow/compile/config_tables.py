"""The configuration as relations `config.*` that models join."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from journeyflow.compile.conditions import (
    attribution_predicate,
    exclusion_predicate,
    friction_predicate,
    goal_predicate,
    promise_predicate,
    step_predicate,
)
from journeyflow.compile.staging_events import json_path, slice_fields
from journeyflow.config import Config
from journeyflow.config.base import format_duration, microseconds
from journeyflow.config.conditions import ALWAYS, render
from journeyflow.config.config import UNASSIGNED
from journeyflow.config.experience import Pending, Promise, StandsAt, Who, suggestion
from journeyflow.config.models_and_funnels import BUILTIN_MODELS, Goal, builtin_stages, referrers, vocabulary
from journeyflow.models.model import arrow_schema
from journeyflow.utils.formatting import ANY, EVENT, PERSONA, STAGE, Labels

if TYPE_CHECKING:
    from journeyflow.config.experience import Desired


ASPECTS = {"goals": "goal", "needs": "need", "quotes": "quote"}
"""Section of a persona in `map:` → the aspect of the map's cell that it fills."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def config_tables(
    config: Config, *, run_id: str, high_water_us: int, first_event_us: int, person_secret: str
) -> dict[str, pa.Table]:
    """Return every relation of `config.*` that the configuration determines.

    Rows are in the order of the configuration, columns as `sql/config/<name>.yml` declares them. The high-water mark
    and the earliest event up to it, in microseconds since the epoch, bound `config.days`; published person ids are
    hashed with `person_secret`.
    """
    rows: dict[str, Iterable[Sequence[Any]]] = {
        "settings": [_settings(config, run_id, high_water_us, person_secret)],
        "sources": _numbered(config.sources),
        "models": ((model.model, model.model_index) for model in config.journey_models),
        "stages": _stages(config),
        "rules": _rules(config),
        "funnels": _funnels(config),
        "funnel_steps": _funnel_steps(config),
        "labels": _labels(config),
        "personas": _personas(config),
        "persona_traits": _distinct(trait for persona in config.personas for trait in persona.traits),
        "counted_events": _distinct(event for persona in config.personas for event in persona.counted_events),
        "goals": (
            (name, goal.value, _goal_path(goal), index, name == config.repeat_goal)
            for index, (name, goal) in enumerate(config.goals.items(), 1)
        ),
        "cohorts": _cohorts(config),
        "cohort_ages": (
            (index, age) for index, cohort in enumerate(config.cohorts.starts.values(), 1) for age in range(cohort.ages)
        ),
        "referrals": [
            (each.referred_by, microseconds(each.within)) for each in (config.referrals,) if each is not None
        ],
        "attribution": _attribution(config),
        "attribution_channels": _attribution_channels(config),
        "referrers": referrers(),
        "rates": (config.currency.rates | {config.currency.report: Decimal(1)}).items(),
        "days": (days := list(_days(config.zone, first_event_us, high_water_us))),
        "day_dates": _day_dates(days),
        "months": _months(days),
        "surveys": _surveys(config),
        "promises": _promises(config),
        "map_cells": _map_cells(config),
        "desired": _desired(config),
        "builtin_rules": _builtin_rules(config),
        "conditions": _conditions(config),
        "slices": ((index, *each) for index, each in enumerate(_slices(config), 1)),
        "passive_events": _passive_events(config),
        "actions": _actions(config),
        "audiences": _audiences(config),
        "audience_consents": _audience_consents(config),
        "audience_traits": _distinct(trait for audience in config.audiences for trait in audience.fields),
        "unstaged_events": ((word.event,) for word in vocabulary() if not word.is_staged),
    }
    return {f"config.{name}": _table(f"config.{name}", each) for name, each in rows.items()}


def funnel_indexes(config: Config) -> dict[str, int]:
    """Return the `funnel_index` of every funnel: first the stage funnels, as their models; then the configured ones."""
    names = [*(model.model for model in config.journey_models), *config.funnels]
    return {name: index for index, name in enumerate(names, start=1)}


def step_names(config: Config, funnel: str) -> Sequence[str]:
    """Return the steps of a funnel in order, the stages of a stage funnel; none of a funnel that is not configured."""
    if funnel in config.funnels:
        return config.funnels[funnel].level_names
    return next((model.stage_names for model in config.journey_models if model.model == funnel), ())


def undated_traits(config: Config) -> frozenset[str]:
    """Return the traits that some file states without `valid_from`: present values, not those of the journey."""
    return frozenset(trait for people in config.people if people.valid_from is None for trait in people.traits)


def _table(name: str, rows: Iterable[Sequence[Any]]) -> pa.Table:
    schema = arrow_schema(name)
    listed = list(rows)
    return pa.table([pa.array([row[n] for row in listed], field.type) for n, field in enumerate(schema)], schema=schema)


def _numbered(names: Iterable[str]) -> Iterator[tuple[str, int]]:
    return ((name, index) for index, name in enumerate(names, 1))


def _distinct(names: Iterable[str]) -> Iterator[tuple[str]]:
    return ((name,) for name in dict.fromkeys(names))


def _settings(config: Config, run_id: str, high_water_us: int, person_secret: str) -> tuple[Any, ...]:
    return (
        config.project,
        config.timezone,
        high_water_us,
        microseconds(config.journeys.timeout),
        microseconds(config.journeys.window),
        config.min_count,
        config.currency.report,
        config.privacy.person_id == "clear",
        person_secret,
        run_id,
    )


def _stages(config: Config) -> Iterator[tuple[Any, ...]]:
    owners = config.map.owners
    for model in config.journey_models:
        again = {placed.stage for placed in model.rules if placed.rule.is_repeat}
        for stage_index, stage in enumerate(model.stages, 1):
            owner = stage.owner or owners.get(stage.name)
            yield model.model, model.model_index, stage.name, stage_index, owner, stage.name in again


def _labels(config: Config) -> Iterator[tuple[Any, ...]]:
    labels = Labels()
    for model in config.journey_models:
        for stage in model.stages:
            yield STAGE, model.model, stage.name, stage.label or labels.stage(model.model, stage.name)
    for persona in config.personas:
        yield PERSONA, ANY, persona.name, persona.label or labels.persona(persona.name)
    for event, given in config.labels.items():
        yield EVENT, ANY, event, given


def _rules(config: Config) -> Iterator[tuple[Any, ...]]:
    for model in config.journey_models:
        for placed in model.rules:
            rule = (placed.rule_id, placed.rule_index, placed.stage, placed.stage_index, placed.rule.has_history)
            yield model.model, model.model_index, *rule


def _funnels(config: Config) -> Iterator[tuple[Any, ...]]:
    indexes = funnel_indexes(config)
    window = microseconds(config.journeys.window)
    goal = next(iter(config.goals), None)
    for model in config.journey_models:
        stages = ("stages", "person", model.model, len(model.stages))
        yield model.model, indexes[model.model], *stages, window, goal, "ordered", "best"
    for name, funnel in config.funnels.items():
        steps = ("steps", str(funnel.unit), funnel.model, len(funnel.steps))
        yield name, indexes[name], *steps, microseconds(funnel.window), funnel.goal, funnel.order, funnel.count


def _funnel_steps(config: Config) -> Iterator[tuple[Any, ...]]:
    indexes = funnel_indexes(config)
    entries = config.remedies.entries
    for funnel in indexes:
        steps = step_names(config, funnel)
        for step_index, step in enumerate(steps, 1):
            remedy = suggestion(entries, "loss", step, steps)
            yield funnel, indexes[funnel], step_index, step, remedy


def _actions(config: Config) -> Iterator[tuple[Any, ...]]:
    indexes = funnel_indexes(config)
    for index, action in enumerate(config.actions, 1):
        subject = action.subject
        dimension = "persona" if subject.persona is not None else "channel" if subject.channel is not None else None
        # A default funnel whose events do not occur has no index.
        if subject.funnel in indexes:
            step_index = list(step_names(config, subject.funnel)).index(subject.step) + 1
            place = indexes[subject.funnel], step_index, dimension, subject.persona or subject.channel
            yield action.name, index, *place, action.from_, _start_us(action.from_, config.zone)


def _audiences(config: Config) -> Iterator[tuple[Any, ...]]:
    for index, audience in enumerate(config.audiences, 1):
        who, email = audience.who, audience.email
        consent = audience.consent_trait, audience.consent_property
        address = email and email.removeprefix("trait.")
        place, remedy = _audience_place(config, who)
        yield audience.name, index, who.kind, *place, who.lifecycle, *consent, address, remedy


def _audience_place(config: Config, who: Who) -> tuple[tuple[Any, ...], str | None]:
    """Return the columns from `subject` to `within_us`, and what to send."""
    entries, lifecycle = config.remedies.entries, who.lifecycle or ""
    if who.promise_due is not None:
        names = [promise.name for promise in config.promises]
        due, within = who.promise_due.promise, who.promise_due.within
        remedy = suggestion(entries, "promise_due", subject=due, lifecycle=lifecycle)
        return (due, None, None, None, names.index(due) + 1, None, within and microseconds(within)), remedy
    if who.kind in ("persona", "lifecycle"):
        remedy = suggestion(entries, "message", lifecycle=lifecycle)
        return (who.persona or lifecycle, None, None, None, None, who.persona, None), remedy
    found = who.dropped_at or who.pending or who.stage
    assert found is not None
    funnel, step = (found.model, found.stage) if isinstance(found, StandsAt) else (found.funnel, found.step)
    steps = step_names(config, funnel)
    remedy = suggestion(entries, "message", step or funnel, steps, lifecycle=lifecycle)
    within = found.within if isinstance(found, Pending) else None
    step_index = None if step is None else [*steps, step].index(step) + 1
    # A default funnel whose events do not occur has no index.
    place = funnel_indexes(config).get(funnel), step_index, None, None
    return (funnel, step, *place, within and microseconds(within)), remedy


def _audience_consents(config: Config) -> Iterator[tuple[int, str]]:
    for index, audience in enumerate(config.audiences, 1):
        for value in dict.fromkeys(value.strip().lower() for value in audience.consent_is):
            yield index, value


def _personas(config: Config) -> Iterator[tuple[Any, ...]]:
    undated = undated_traits(config)
    for index, persona in enumerate(config.personas, 1):
        is_undated = any(trait in undated for trait in persona.traits)
        marks = (persona.is_outcome_based, is_undated, persona.as_of == "now")
        yield persona.name, index, render(persona.when), persona.description, *marks
    unassigned = (UNASSIGNED, len(config.personas) + 1, "no other persona's rule holds", None)
    yield *unassigned, False, False, False


def _cohorts(config: Config) -> Iterator[tuple[Any, ...]]:
    for index, (name, cohort) in enumerate(config.cohorts.starts.items(), 1):
        bucket = cohort.bucket
        calendar, width = (bucket, None) if isinstance(bucket, str) else (None, microseconds(bucket))
        is_any = (cohort.start == ALWAYS, cohort.return_ == ALWAYS)
        unit = bucket if isinstance(bucket, str) else format_duration(bucket)
        yield name, index, *is_any, calendar, width, unit, cohort.ages, cohort.by


def _goal_path(goal: Goal) -> str | None:
    """Return the path of the property that is the goal's value."""
    if goal.value is None or not goal.value.startswith("properties."):
        return None
    return json_path(goal.value.removeprefix("properties."))


def _attribution(config: Config) -> Iterator[tuple[Any, ...]]:
    section = config.attribution
    times = (microseconds(section.lookback), microseconds(section.half_life))
    for goal_index, (name, goal) in enumerate(config.goals.items(), 1):
        if section.goal in (None, name):
            yield name, goal_index, *times, section.unit == "first", goal.value is not None


def _attribution_channels(config: Config) -> Iterator[tuple[Any, ...]]:
    for index, channel in enumerate(config.attribution.channels, 1):
        yield index, channel.name, attribution_predicate(index)


def _days(zone: ZoneInfo, first_us: int, last_us: int) -> Iterator[tuple[Any, ...]]:
    """Yield the local days of the data, each with its ends in UTC: 23, 24 or 25 hours apart where clocks change."""
    first, last = (_local_day(instant, zone) for instant in (min(first_us, last_us), last_us))
    days = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
    starts = [_start_us(day, zone) for day in (*days, last + timedelta(days=1))]
    for index, day in enumerate(days, 1):
        yield index, day, starts[index - 1], starts[index], day.isoformat()[:7]


def _months(days: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    for month, each in groupby(days, key=lambda day: day[-1]):
        of_month = list(each)
        yield month, of_month[0][2], of_month[-1][3]


_MONDAY = date(1969, 12, 29)


def _day_dates(days: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    for _, day, start_us, end_us, month in days:
        week_number = (day - _MONDAY).days // 7
        week = (_MONDAY + timedelta(weeks=week_number)).isoformat()
        first, last = (_local_day(instant, ZoneInfo("UTC")) for instant in (start_us, end_us - 1))
        for offset in range((last - first).days + 1):
            utc_date = first + timedelta(days=offset)
            yield day, utc_date, start_us, end_us, month, week, 12 * day.year + day.month - 1, week_number


def _local_day(instant_us: int, zone: ZoneInfo) -> date:
    return (_EPOCH + timedelta(microseconds=instant_us)).astimezone(zone).date()


def _start_us(day: date, zone: ZoneInfo) -> int:
    """Return the first instant of a local day; where midnight is skipped, that is when the clock jumps over it."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    return microseconds(midnight.astimezone(UTC) - _EPOCH)


def _surveys(config: Config) -> Iterator[tuple[Any, ...]]:
    for index, (name, survey) in enumerate(config.surveys.items(), 1):
        least, most = survey.scale or (None, None)
        content = (survey.score is not None, survey.text is not None)
        yield name, index, survey.event, survey.kind, least, most, survey.is_low_good, *content


def _promises(config: Config) -> Iterator[tuple[Any, ...]]:
    for index, promise in enumerate(config.promises, 1):
        kind = "timed" if promise.within is not None else "measured"
        yield promise.name, index, kind, *_place(config, promise), *_terms(promise)


def _place(config: Config, promise: Promise) -> tuple[str, int, str, int, bool]:
    """Return the first model in which the promise's stage is not the last; else the first that has the stage."""
    places = [
        (stage_index == len(model.stages), model, stage_index)
        for model in config.journey_models
        for stage_index, stage in enumerate(model.stage_names, 1)
        if stage == promise.stage
    ]
    is_last, model, stage_index = min(places, key=lambda place: place[0])
    return model.model, model.model_index, promise.stage, stage_index, is_last


def _terms(promise: Promise) -> tuple[Any, ...]:
    """Return within_us, match_property, match_path, survey, target and is_at_most."""
    if promise.within is not None:
        path = None if promise.match is None else json_path(promise.match)
        return microseconds(promise.within), promise.match, path, None, 1.0, None
    target = promise.target
    is_at_most = target is not None and target.at_most is not None
    bound = None if target is None else target.at_most if is_at_most else target.at_least
    return None, None, None, promise.measure, bound, is_at_most


def _map_cells(config: Config) -> Iterator[tuple[str, str, str, str]]:
    for persona, supplied in config.map.personas.items():
        for section, aspect in ASPECTS.items():
            for stage, text in getattr(supplied, section).items():
                yield persona, stage, aspect, text


def _desired(config: Config) -> Iterator[tuple[str, str, str, float]]:
    for persona, supplied in config.map.personas.items():
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


def _conditions(config: Config) -> Iterator[tuple[str, str, str, str, str | None, str | None]]:
    """Yield what should match something; not the default goals, which a company need not have."""
    for name, funnel in config.funnels.items():
        for step in funnel.steps:
            subject = f"funnel {name}: {step.name}"
            yield step_predicate(name, step.name), "step", subject, render(step.when), None, None
        for number, exclusion in enumerate(funnel.exclusions, 1):
            subject = f"funnel {name}: exclusion {number}"
            yield exclusion_predicate(name, number), "exclusion", subject, render(exclusion.when), None, None
    if "goals" in config.model_fields_set:
        for name, goal in config.goals.items():
            yield goal_predicate(name), "goal", f"goal {name}", render(goal.when), None, None
    for number, channel in enumerate(config.attribution.channels, 1):
        subject = f"attribution channel {number}: {channel.name}"
        yield attribution_predicate(number), "channel", subject, render(channel.when), None, None
    for friction in config.friction:
        subject = f"friction {friction.name}"
        yield friction_predicate(friction.name), "friction", subject, render(friction.when), None, None
    for promise in config.promises:
        for end, kind, condition in (("from", "promise_start", promise.from_), ("to", "promise_end", promise.to)):
            if condition is not None:
                subject = f"promise {promise.name}: {end}"
                yield promise_predicate(promise.name, end), kind, subject, render(condition), None, None
    labels: dict[str, list[str]] = {}
    for touchpoint in config.touchpoints:
        labels.setdefault(touchpoint.label, []).append(render(touchpoint.when))
    for label, texts in labels.items():
        yield f"touchpoint/{label}", "touchpoint", f"touchpoint {label}", " or ".join(texts), label, None
    for name, survey in config.surveys.items():
        yield f"survey/{name}", "survey", f"survey {name}", f"event is {survey.event}", None, survey.event


def _slices(config: Config) -> Iterator[tuple[str, bool, str]]:
    """Yield name, whether it is a property, and the column of `staging.events`, of each slice."""
    for number, (name, is_property) in enumerate(slice_fields(config), 1):
        yield name, is_property, f"slice_{number}"


def _passive_events(config: Config) -> Iterator[tuple[str, int, str, bool]]:
    """Yield the passive events of each source: those of the vocabulary, then its own."""
    shipped = [word.event for word in vocabulary() if word.is_passive]
    for source_ix, (name, source) in enumerate(config.sources.items(), 1):
        for event in dict.fromkeys([*shipped, *source.passive]):
            yield name, source_ix, event, event in shipped


def _builtin_rules(config: Config) -> Iterator[tuple[int, int]]:
    """Yield the rules that `journeyflow.yml` does not state: those of built-in models, extended ones included."""
    shipped = [rule for name in BUILTIN_MODELS for stage in builtin_stages(name) for rule in stage.rules]
    for model in config.journey_models:
        for placed in model.rules:
            if placed.rule in shipped:
                yield model.model_index, placed.rule_index
