"""What people supply to the journey map, and what tells blind spots, as small relations beside `config_tables`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from journeyflow.config.journey_models import BUILTIN_MODELS, builtin_stages
from journeyflow.config.vocabulary import vocabulary

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.config.experience import Desired, PersonaMap

ASPECTS = {"goals": "goal", "needs": "need", "quotes": "quote"}
"""Section of a persona in `map:` → the aspect of the map's cell that it fills."""


def tables(config: Config) -> dict[str, pa.Table]:
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
        "config.map_cells": _table(_map_cells(config), "persona stage aspect text"),
        "config.desired": _table(_desired(config), "persona stage measure", desired=pa.float64()),
        "config.builtin_rules": _table(_builtin_rules(config), "", model_index=pa.int32(), rule_index=pa.int32()),
        "config.unstaged_events": _table(_unstaged_events(), "event_name"),
    }


def _table(rows: Iterator[tuple[Any, ...]], texts: str, **others: pa.DataType) -> pa.Table:
    schema = pa.schema([*((name, pa.string()) for name in texts.split()), *others.items()])
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)


def _personas(config: Config) -> Iterator[tuple[str, PersonaMap]]:
    yield from config.map.personas.items()


def _map_cells(config: Config) -> Iterator[tuple[str, str, str, str]]:
    for persona, supplied in _personas(config):
        for section, aspect in ASPECTS.items():
            for stage, text in getattr(supplied, section).items():
                yield persona, stage, aspect, text


def _desired(config: Config) -> Iterator[tuple[str, str, str, float]]:
    for persona, supplied in _personas(config):
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
