"""Read a published generation into the view model."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from journeyflow.report import cells
from journeyflow.report.cells import READERS, Place, gain_figures, next_actions, outcome_figures
from journeyflow.report.formatting import ENDS, PAIN_KINDS, READING, ROWS, SEVERITIES, SPOT_KINDS, TEXT_LENGTH, shown
from journeyflow.report.tables import MAP, STEP, Row, Tables
from journeyflow.report.view_model import (
    ALL,
    BlindSpot,
    Facts,
    Figure,
    FigureSource,
    Flow,
    FlowLink,
    Funnel,
    FunnelStep,
    JourneyMap,
    MapModel,
    MapRow,
    Opportunity,
    Period,
    Persona,
    Reach,
    ReportData,
    Stage,
    Text,
    conjunction,
)

if TYPE_CHECKING:
    from journeyflow.publish.reader import PublishedTables


DETAIL_LENGTH = 1_000
MOST_SPOTS = 200
"""Blind spots that are read, the most severe first."""


def facts(tables: Tables) -> Facts:
    """Return the facts of the run that published the tables."""
    manifest = tables.published.manifest
    run = Row("runs", {"run_id": manifest.run_id, "event_count": manifest.event_count})
    first_query = "select min(first_seen_at) as first_event_at from event_kinds"
    first_source = FigureSource("event_kinds", (), ("first_event_at",), first_query)
    first = min((row.values["first_seen_at"] for row in tables.rows("event_kinds")), default=None)
    everybody = tables.by("personas", "persona").get(ALL) or [Row("personas", {"persona": ALL})]
    return Facts(
        project=shown(manifest.project),
        run_id=shown(manifest.run_id),
        version=shown(manifest.version),
        config_hash=shown(manifest.config_hash),
        published_at=manifest.published_at,
        high_water_at=manifest.high_water_at,
        first_event_at=Figure("first event", first, "instant", first_source),
        events=run.figure("events", "events", "event_count"),
        persons=everybody[0].figure("people", "people", "person_count"),
    )


def blind_spots(tables: Tables) -> tuple[BlindSpot, ...]:
    """Return what the figures cannot see: critical first, then by kind and size."""
    found = sorted((_blind_spot(row) for row in tables.rows("blind_spots")), key=_severity_order)
    return tuple(found[:MOST_SPOTS])


def _blind_spot(row: Row) -> BlindSpot:
    kind, told = row.word("kind"), row.word("severity")
    known: dict[str, Literal["critical", "warning", "note"]] = {"critical": "critical", "warning": "warning"}
    return BlindSpot(
        kind=kind,
        kind_label=SPOT_KINDS.get(kind) or shown(kind.replace("_", " ")),
        subject=shown(row.word("subject")),
        severity=known.get(told, "note"),
        detail=shown(row.word("detail"), DETAIL_LENGTH),
        items=row.figure("items", "items", "item_count"),
        share=row.figure("share", "rate", "share_rate"),
    )


def _severity_order(spot: BlindSpot) -> tuple[int, float, str, str]:
    share = spot.share.value if isinstance(spot.share.value, float) else 0.0
    return (SEVERITIES.index(spot.severity), -share, spot.kind, spot.subject)


def definitions(tables: Tables, models: tuple[MapModel, ...], personas: tuple[Persona, ...]) -> tuple[Text, ...]:
    """Return what names mean in this project: personas, stages, promises and how sentiment was told."""
    told = [Text(f"Persona {persona.label}", _persona_text(persona)) for persona in personas]
    told += [Text(f"Stages of {model.label}", _stages_text(tables, model)) for model in models]
    methods = sorted({shown(row.word("method")) for row in tables.rows("stage_sentiment") if row.word("method")})
    if methods:
        told.append(Text("Sentiment is told by", shown("; ".join(methods), 4 * TEXT_LENGTH)))
    promised = sorted({f"{row.word('promise')} ({row.word('stage')})" for row in tables.rows("promises")})
    if promised:
        told.append(Text("Promises", shown("; ".join(shown(name) for name in promised), 4 * TEXT_LENGTH)))
    return tuple(told)


def _persona_text(persona: Persona) -> str:
    marks = (
        "It is defined by an outcome: its own conversion is true by definition." if persona.is_outcome_based else "",
        "Its traits have no dates: they are those of today." if persona.is_trait_undated else "",
    )
    rule = f"Rule: {persona.rule}." if persona.rule else ""
    parts = (persona.description and f"{persona.description.rstrip('.')}.", rule, *marks)
    return " ".join(part for part in parts if part)


def _stages_text(tables: Tables, model: MapModel) -> str:
    """Return the stages of a model with the names of the events found in each."""
    kinds = tables.by("event_kinds", "model", "stage")
    said = []
    for stage in model.stages:
        names = sorted({shown(row.word("event_name")) for row in kinds.get((model.key, stage.key), [])})
        said.append(f"{stage.label}: {', '.join(names) or 'no event was seen'}")
    return shown("; ".join(said), 4 * TEXT_LENGTH)


MOST_LAST = 6
MOST_NEXT = 5


def stage_funnel(tables: Tables, model: MapModel, persona: str, period: str) -> Funnel:
    """Return the stage funnel of a model; without steps where it counts nobody of the persona in the period."""
    nobody = Funnel(model.key, model.label, "stages", persona, period, "person", ())
    return funnel_of(tables, model.key, persona, period) or nobody


def funnel_of(tables: Tables, funnel: str, persona: str, period: str) -> Funnel | None:
    """Return one funnel of one persona and period, None where nobody entered it."""
    rows = tables.by("funnel_steps", *STEP[:3]).get((funnel, persona, period))
    if not rows:
        return None
    first = rows[0]
    return Funnel(
        key=funnel,
        label=shown(funnel),
        kind="stages" if first.word("kind") == "stages" else "steps",
        persona=persona,
        period=period,
        unit=shown(first.word("unit")),
        steps=tuple(_step(tables, row) for row in sorted(rows, key=lambda row: row.values["step_index"])),
        is_outcome_based=bool(first.values.get("is_outcome_based")),
    )


def configured_funnels(tables: Tables, personas: tuple[str, ...]) -> tuple[Funnel, ...]:
    """Return the funnels that are no stage funnels, by name, over the whole time, for each of the personas."""
    names = sorted({row.word("funnel") for row in tables.by("funnel_steps", "kind").get("steps", [])})
    found = (funnel_of(tables, name, persona, ALL) for name in names for persona in personas)
    return tuple(funnel for funnel in found if funnel)


def _step(tables: Tables, row: Row) -> FunnelStep:
    reached, went_on, dropped, pending, drop_off = cells.outcome_figures(row)
    key: tuple[str, str, str, int] = tuple(row.values[column] for column in STEP)
    lasts, nexts = _last_touchpoints(tables, key), next_actions(tables, key)
    return FunnelStep(
        key=row.word("step"),
        label=shown(row.word("step")),
        index=row.values["step_index"],
        reached=reached,
        went_on=went_on,
        dropped=dropped,
        pending=pending,
        drop_off=drop_off,
        median=cells.median_time(row),
        at_stake=cells.at_stake(row),
        last_touchpoints=tuple(cells.last_touchpoint(last) for last in lasts[:MOST_LAST]),
        next_actions=tuple(cells.next_action(action) for action in nexts[:MOST_NEXT]),
        last_rest_count=max(len(lasts) - MOST_LAST, 0),
        next_rest_count=max(len(nexts) - MOST_NEXT, 0),
    )


def _last_touchpoints(tables: Tables, step: tuple[str, str, str, int]) -> list[Row]:
    rows = tables.by("drop_offs", *STEP).get(step, [])
    return sorted(rows, key=lambda row: (-row.values["drop_off_count"], row.word("last_touchpoint")))


def flow_of(tables: Tables, model: MapModel, persona: str) -> Flow:
    """Return how journeys of a persona went between the stages of a model: where they began, moved, ended."""
    rows = tables.by("stage_transitions", "model", "persona").get((model.key, persona), [])
    labels = {stage.key: stage.label for stage in model.stages} | ENDS
    links = [_link(row, labels) for row in rows if row.values["transition_count"]]
    begun = (_entry(model, persona, stage.key, rows, labels) for stage in model.stages)
    return Flow(model.key, persona, tuple(link for link in (*begun, *links) if link))


def _link(row: Row, labels: dict[str, str]) -> FlowLink:
    rate, count, median = cells.move_figures(row)
    start, end = row.word("from_stage"), row.word("to_stage")
    return FlowLink(
        start=start,
        end=end,
        start_label=labels.get(start) or shown(start),
        end_label=labels.get(end) or shown(end),
        count=count,
        rate=rate if rate.value is not None else None,
        median=median if median.value is not None else None,
        is_backward=bool(row.values["is_backward"]),
    )


def _entry(model: MapModel, persona: str, stage: str, rows: list[Row], labels: dict[str, str]) -> FlowLink | None:
    """Return the journeys that began in a stage: its visits that no other stage's visit led to."""
    visits = sum(row.values["transition_count"] for row in rows if row.word("from_stage") == stage)
    arrivals = sum(row.values["transition_count"] for row in rows if row.word("to_stage") == stage)
    if visits <= arrivals:
        return None
    of_flow = conjunction((("model", model.key), ("persona", persona)))
    left, came = (conjunction(((column, stage),)) for column in ("from_stage", "to_stage"))
    counted = "coalesce(sum(transition_count)"
    query = (
        f"select cast({counted} filter (where {left}), 0) - {counted} filter (where {came}), 0) as bigint)"
        f" as journey_count from stage_transitions where {of_flow}"
    )
    source = FigureSource("stage_transitions", (), ("journey_count",), query)
    count = Figure("journeys begun here", visits - arrivals, "visits", source)
    return FlowLink("entry", stage, ENDS["entry"], labels[stage], count)


BUILT_IN = ("four_stage", "value_journey")
"""Models that a project offers after its own."""
UNASSIGNED = "unassigned"
MOST_OPPORTUNITIES = 30


def read_report_data(
    published: PublishedTables,
    *,
    models: Collection[str] | None = None,
    personas: Collection[str] | None = None,
    periods: Collection[str] | None = None,
) -> ReportData:
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
        return _report_data(tables, models, personas, periods)


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


def _report_data(
    tables: Tables,
    models: Collection[str] | None,
    personas: Collection[str] | None,
    periods: Collection[str] | None,
) -> ReportData:
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
    return ReportData(
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


def keys_of(published: PublishedTables) -> tuple[list[str], list[str], list[str]]:
    """Return the models, personas and periods that there are maps of, in the order in which they are offered."""
    tables = Tables(published)
    reached = list(tables.rows("map_stages"))
    return (
        [model.key for model in _models(tables, reached)],
        [persona.key for persona in _personas(tables, reached)],
        [period.key for period in _periods(reached)],
    )


def _models(tables: Tables, reached: list[Row]) -> list[MapModel]:
    stages: dict[str, dict[int, str]] = {}
    for row in reached:
        stages.setdefault(row.word("model"), {})[row.values["stage_index"]] = row.word("stage")
    owners = tables.by("supplied_cells", "model", "stage", "aspect")

    def stage(model: str, name: str, index: int) -> Stage:
        told = owners.get((model, name, "owner"), [])
        return Stage(name, shown(name), index, shown(told[0].word("text")) if told else "")

    return [
        MapModel(name, shown(name), tuple(stage(name, told, index) for index, told in sorted(stages[name].items())))
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


def _map(tables: Tables, model: MapModel, persona: str, period: str) -> JourneyMap | None:
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
