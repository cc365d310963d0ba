"""Read a published generation as an atlas of journey maps."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from journeyflow.report.atlas import (
    ALL,
    Atlas,
    JourneyMap,
    MapRow,
    Model,
    Opportunity,
    Period,
    Persona,
    Reach,
    Stage,
    Text,
)  # fmt: skip
from journeyflow.report.cells import READERS, Place
from journeyflow.report.facts import blind_spots, definitions, facts
from journeyflow.report.funnels import configured_funnels, flow_of, stage_funnel
from journeyflow.report.items import gain_figures, outcome_figures
from journeyflow.report.tables import MAP, Row, Tables
from journeyflow.report.words import PAIN_KINDS, READING, ROWS, TEXT_LENGTH, shown

if TYPE_CHECKING:
    from journeyflow.published import Published

BUILT_IN = ("four_stage", "value_journey")
"""Models that a project offers after its own."""
UNASSIGNED = "unassigned"
MOST_OPPORTUNITIES = 30


def read_atlas(
    published: Published,
    *,
    models: Collection[str] | None = None,
    personas: Collection[str] | None = None,
    periods: Collection[str] | None = None,
) -> Atlas:
    """Return everything that the report shows of a generation.

    Parameters
    ----------
    published : Published
        An open generation.
    models, personas, periods : collection of str or None
        Only these; None is all. Names that are not there are passed over.

    Returns
    -------
    Atlas
    """
    tables = Tables(published)
    with _no_collection():
        return _atlas(tables, models, personas, periods)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Let the collector of cycles rest: an atlas is very many small values without any, built in half the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _atlas(
    tables: Tables,
    models: Collection[str] | None,
    personas: Collection[str] | None,
    periods: Collection[str] | None,
) -> Atlas:
    reached = list(tables.rows("map_stages"))
    known_models = tuple(model for model in _models(tables, reached) if models is None or model.key in models)
    known_personas = tuple(found for found in _personas(tables, reached) if personas is None or found.key in personas)
    known_periods = tuple(found for found in _periods(reached) if periods is None or found.key in periods)
    names = tuple(persona.key for persona in known_personas)
    maps = (
        _map(tables, model, persona, period.key)
        for model in known_models
        for persona in names
        for period in known_periods
    )
    return Atlas(
        facts=facts(tables),
        models=known_models,
        personas=known_personas,
        periods=known_periods,
        maps=tuple(found for found in maps if found),
        funnels=configured_funnels(tables, names),
        flows=tuple(flow_of(tables, model, persona) for model in known_models for persona in names),
        blind_spots=blind_spots(tables),
        definitions=definitions(tables, known_models, known_personas),
        reading=tuple(Text(title, text) for title, text in READING),
        meanings=tables.meanings,
    )


def keys_of(published: Published) -> tuple[list[str], list[str], list[str]]:
    """Return the models, personas and periods that there are maps of, in the order in which they are offered."""
    tables = Tables(published)
    reached = list(tables.rows("map_stages"))
    return (
        [model.key for model in _models(tables, reached)],
        [persona.key for persona in _personas(tables, reached)],
        [period.key for period in _periods(reached)],
    )


def _models(tables: Tables, reached: list[Row]) -> list[Model]:
    stages: dict[str, dict[int, str]] = {}
    for row in reached:
        stages.setdefault(row.word("model"), {})[row.values["stage_index"]] = row.word("stage")
    owners = tables.by("supplied_cells", "model", "stage", "aspect")

    def stage(model: str, name: str, index: int) -> Stage:
        told = owners.get((model, name, "owner"), [])
        return Stage(name, shown(name), index, shown(told[0].word("text")) if told else "")

    return [
        Model(name, shown(name), tuple(stage(name, told, index) for index, told in sorted(stages[name].items())))
        for name in sorted(stages, key=lambda name: (name in BUILT_IN, name))
    ]


def _personas(tables: Tables, reached: list[Row]) -> list[Persona]:
    described = {row.word("persona"): row for row in tables.rows("personas")}
    names = {row.word("persona") for row in reached}

    def order(name: str) -> tuple[bool, bool, int, str]:
        people = described[name].values["person_count"] if name in described else 0
        return (name != ALL, name == UNASSIGNED, -people, name)

    return [_persona(name, described.get(name)) for name in sorted(names, key=order)]


def _persona(name: str, row: Row | None) -> Persona:
    label = "everybody" if name == ALL else shown(name)
    if row is None:
        return Persona(name, label)
    return Persona(
        key=name,
        label=label,
        description=shown(row.word("description"), TEXT_LENGTH),
        rule=shown(row.word("rule"), TEXT_LENGTH),
        is_outcome_based=bool(row.values["is_outcome_based"]),
        is_trait_undated=bool(row.values["is_trait_undated"]),
        person_count=row.figure("people", "people", "person_count"),
    )


def _periods(reached: list[Row]) -> list[Period]:
    names = {row.word("period") for row in reached}
    return [
        Period(name, "the whole time" if name == ALL else shown(name))
        for name in sorted(names, key=lambda name: (name != ALL, name))
    ]


def _map(tables: Tables, model: Model, persona: str, period: str) -> JourneyMap | None:
    stages = tables.by("map_stages", *MAP).get((model.key, persona, period))
    if not stages:
        return None
    last = len(model.stages)
    places = [Place(model.key, persona, period, stage, stage.index == last) for stage in model.stages]
    rows = tuple(
        MapRow(key, label, hint, tuple(READERS[key](tables, place) for place in places)) for key, label, hint in ROWS
    )
    labels = {stage.key: stage.label for stage in model.stages}
    ranked = tables.by("opportunities", *MAP).get((model.key, persona, period), [])
    ranked = sorted(ranked, key=lambda row: row.values["opportunity_rank"])
    return JourneyMap(
        model=model.key,
        persona=persona,
        period=period,
        rows=rows,
        reached=tuple(_reach(row, labels) for row in sorted(stages, key=lambda row: row.values["stage_index"])),
        funnel=stage_funnel(tables, model, persona, period),
        opportunities=tuple(_opportunity(row, labels) for row in ranked[:MOST_OPPORTUNITIES]),
        opportunity_rest_count=max(len(ranked) - MOST_OPPORTUNITIES, 0),
    )


def _reach(row: Row, labels: dict[str, str]) -> Reach:
    reached, went_on, *rest = outcome_figures(row)
    dropped, pending, drop_off = (figure if figure.value is not None else None for figure in rest)
    return Reach(row.word("stage"), labels[row.word("stage")], reached, went_on, dropped, pending, drop_off)


def _opportunity(row: Row, labels: dict[str, str]) -> Opportunity:
    people, lost, worth = gain_figures(row)
    kind = row.word("kind")
    return Opportunity(
        rank=row.values["opportunity_rank"],
        stage=row.word("stage"),
        stage_label=labels.get(row.word("stage")) or shown(row.word("stage")),
        origin=shown(row.word("origin").replace("_", " ")),
        kind=PAIN_KINDS.get(kind) or shown(kind),
        subject=shown(row.word("subject")),
        people=people,
        lost=lost,
        worth=worth,
        owner=shown(row.word("owner")),
    )
