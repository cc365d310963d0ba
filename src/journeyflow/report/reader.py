"""Read a published generation into the view model."""

from __future__ import annotations

import gc
import json
from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from journeyflow.compile.map_figures import MAP, MAP_ROWS, STEP, MapFigure
from journeyflow.config.models_and_funnels import BUILTIN_MODELS
from journeyflow.report import cells
from journeyflow.report.analyses import gains_by_stage, read_analyses, read_differences
from journeyflow.report.cells import Row, Tables
from journeyflow.report.formatting import BLIND_SPOT_KINDS, ENDS, READING, TEXT_LENGTH, display_text, label_text
from journeyflow.report.view_model import (
    ALL,
    BlindSpot,
    Briefing,
    BriefingLine,
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
    Paragraph,
    Period,
    Persona,
    ReportData,
    RunInfo,
    Severity,
    Stage,
    StageReach,
    conjunction,
)
from journeyflow.utils.formatting import Labels, count

if TYPE_CHECKING:
    from journeyflow.publish.reader import PublishedTables


UNASSIGNED = "unassigned"
_PEOPLE = MapFigure("person_count", "people", "people")
DETAIL_LENGTH = 1_000
DEFINITION_LENGTH = 4 * TEXT_LENGTH
MAX_BLIND_SPOTS = 200
MAX_OPPORTUNITIES = 30
MAX_LAST_TOUCHPOINTS = 6
MAX_NEXT_ACTIONS = 5
MAX_PERSONAS_NAMED = 6
HEADLINE_LENGTH = 600
SEVERITIES: dict[str, Severity] = {"critical": "critical", "warning": "warning", "note": "note"}
"""The most severe first."""


def read_report_data(
    published: PublishedTables,
    *,
    models: Collection[str] | None = None,
    personas: Collection[str] | None = None,
    periods: Collection[str] | None = None,
    with_analyses: bool = True,
) -> ReportData:
    """Return everything that the report shows of a generation.

    `models`, `personas` and `periods` restrict it to these keys; None is all, and unknown keys are ignored. The page
    alone shows the analyses beside the map.
    """
    # The view model is acyclic, and is built in half the time without the garbage collector.
    was_on = gc.isenabled()
    gc.disable()
    try:
        found = _report_data(Tables(published), models, personas, periods)
        if with_analyses:
            names = [persona.key for persona in found.personas]
            differences = read_differences(published, found.models, names)
            found = replace(found, analyses=read_analyses(published, names), differences=differences)
        return found
    finally:
        if was_on:
            gc.enable()


def keys_of(published: PublishedTables) -> tuple[list[str], list[str], list[str]]:
    """Return the models, personas and periods that there are maps of, in display order."""
    tables = Tables(published)
    reached = list(tables.rows("map_stages"))
    return (
        [model.key for model in _models(tables, reached)],
        [persona.key for persona in _personas(tables, reached)],
        [period.key for period in _periods(reached)],
    )


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
        run=_run_info(tables),
        models=known_models,
        personas=known_personas,
        periods=known_periods,
        briefing=_briefing(tables),
        maps=tuple(found for found in maps if found),
        funnels=_configured_funnels(tables, names),
        flows=tuple(_flow(tables, model, persona) for model in known_models for persona in names),
        blind_spots=_blind_spots(tables),
        definitions=tuple(_definitions(tables, known_models, known_personas)),
        reading=tuple(Paragraph(title, text) for title, text in READING),
        meanings=tables.meanings,
    )


def read_briefing(published: PublishedTables) -> Briefing:
    """Return the first screen of a generation."""
    return _briefing(Tables(published))


def _briefing(tables: Tables) -> Briefing:
    rows = list(tables.rows("briefing"))
    lines = [_briefing_line(tables, row) for row in rows if row.text("kind") != "blind_spots"]
    blind = next((row.text("headline") for row in rows if row.text("kind") == "blind_spots"), "")
    return Briefing(
        people=_people_text(tables),
        model=label_text(_first_model(tables)),
        stages=_stages_reached_text(tables),
        lines=tuple(lines),
        blind_spots=display_text(blind, DETAIL_LENGTH),
    )


def _briefing_line(tables: Tables, row: Row) -> BriefingLine:
    table = row.text("table_name")
    key: dict[str, Any] = json.loads(row.text("row_key") or "{}", strict=False)
    ranked = tables.by("opportunities", *MAP, "opportunity_rank")
    found = ranked.get(tuple(key.values()), []) if table == "opportunities" else []
    return BriefingLine(
        headline=display_text(row.text("headline"), HEADLINE_LENGTH),
        kind=row.text("kind"),
        change=row.text("change"),
        previous_count=row.values.get("previous_count"),
        table_name=table,
        model=row.text("model"),
        persona=row.text("persona"),
        rank=key.get("opportunity_rank", key.get("step_index")),
        owner=display_text(found[0].text("owner")) if found else "",
        sql=FigureSource(table, tuple(key.items()), ("*",)).sql if key else "",
        action=display_text(row.text("remedy"), HEADLINE_LENGTH),
    )


def _people_text(tables: Tables) -> str:
    """Return how many persons there are, and how many of each of the largest personas."""
    people = {row.text("persona"): row.values["person_count"] or 0 for row in tables.rows("personas")}
    total = people.pop(ALL, None)
    if total is None:
        return ""
    ordered = sorted(people.items(), key=lambda item: (item[0] == UNASSIGNED, -item[1], item[0]))
    if ordered and ordered[-1] == (UNASSIGNED, 0):
        ordered.pop()  # Everybody has a persona.
    if [name for name, _ in ordered] == [UNASSIGNED]:
        return f"{count(total)} persons; no personas are configured"
    named = [f"{tables.labels.persona(name)} {count(number)}" for name, number in ordered[:MAX_PERSONAS_NAMED]]
    rest = [f"{len(ordered) - MAX_PERSONAS_NAMED} more personas"] if len(ordered) > MAX_PERSONAS_NAMED else []
    return f"{count(total)} persons" + (f": {', '.join(named + rest)}" if named else "")


def _stages_reached_text(tables: Tables) -> str:
    """Return how many persons reached each stage of the first model, and where most of them leave."""
    model = _first_model(tables)
    steps = tables.by("funnel_steps", *STEP[:3]).get((model, ALL, ALL), [])
    reached = sorted(steps, key=lambda row: row.values["step_index"])
    stage = partial(tables.labels.stage, model)
    text = " → ".join(f"{stage(row.text('step'))} {count(row.values['person_count'])}" for row in reached)
    # Who has not done a thing again yet has not left.
    again = {
        row.values["stage_index"] - 1
        for row in tables.rows("map_stages")
        if row.values.get("is_repeat") and row.text("model") == model
    }
    left = [row for row in reached[:-1] if row.values["step_index"] not in again]
    worst = max(left, key=lambda row: row.values["drop_off_count"] or 0, default=None)
    if worst is None or not worst.values["drop_off_count"]:
        waiting = max(left, key=lambda row: row.values["pending_count"] or 0, default=None)
        if waiting is not None and waiting.values["pending_count"]:
            text += f"; nobody's time to go on is over yet; most may still go on at {stage(waiting.text('step'))}: "
            text += count(waiting.values["pending_count"])
        return text
    # Who reached the stage, less who went on and who left.
    pending = worst.values["pending_count"] or 0
    rest = f" ({count(pending)} more still may go on)" if pending else ""
    return f"{text}; most leave at {stage(worst.text('step'))}: {count(worst.values['drop_off_count'])}{rest}"


def first_model(published: PublishedTables) -> str:
    """Return the journey model that the briefing is of, else the first; empty without one."""
    return _first_model(Tables(published))


DISCOVERED = """
    with likest as (
        select discovered_persona, arg_max(persona, (lift, persona)) as persona, max(lift) as lift
        from discovered_persona_overlaps where person_count >= 5 group by discovered_persona
    )
    select found.* exclude (prior_rate, fitted_at), found.fitted_at,
        case when likest.lift > 1.2 then likest.persona end as likest_persona
    from discovered_personas as found
    left join likest on likest.discovered_persona = found.discovered_persona and found.kind = 'class'
    order by found.kind <> 'all', found.kind <> 'class', found.person_count desc, found.discovered_persona
"""
"""The discovered personas with the configured one that is most overrepresented in each; all persons first."""


def _first_model(tables: Tables) -> str:
    names = {row.text("funnel") for row in tables.by("funnel_steps", "kind").get("stages", [])}
    briefed = [row.text("model") for row in tables.rows("briefing") if row.text("model") in names]
    return next(iter(briefed or sorted(names, key=lambda name: (name in BUILTIN_MODELS, name))), "")


def _run_info(tables: Tables) -> RunInfo:
    manifest = tables.published.manifest
    run = Row("runs", {"run_id": manifest.run_id, "event_count": manifest.event_count})
    first_query = "select min(first_seen_at) as first_event_at from event_kinds"
    first_source = FigureSource("event_kinds", (), ("first_event_at",), first_query)
    first = min((row.values["first_seen_at"] for row in tables.rows("event_kinds")), default=None)
    totals = tables.by("personas", "persona").get(ALL) or [Row("personas", {"persona": ALL})]
    return RunInfo(
        project=display_text(manifest.project),
        run_id=display_text(manifest.run_id),
        version=display_text(manifest.version),
        config_hash=display_text(manifest.config_hash),
        published_at=manifest.published_at,
        high_water_at=manifest.high_water_at,
        first_event_at=Figure("first event", first, "instant", first_source),
        events=run.figure(MapFigure("event_count", "events", "events")),
        persons=totals[0].figure(_PEOPLE),
    )


def _models(tables: Tables, reached: list[Row]) -> list[MapModel]:
    stages: dict[str, dict[int, Row]] = {}
    for row in reached:
        stages.setdefault(row.text("model"), {})[row.values["stage_index"]] = row
    owners = tables.by("supplied_cells", "model", "stage", "aspect")

    def stage(found: Row, index: int) -> Stage:
        model, name = found.text("model"), found.text("stage")
        rows = owners.get((model, name, "owner"), [])
        owner = display_text(rows[0].text("text")) if rows else ""
        return Stage(name, tables.labels.stage(model, name), index, owner, bool(found.values.get("is_repeat")))

    briefed = _first_model(tables)
    return [
        MapModel(name, label_text(name), tuple(stage(row, index) for index, row in sorted(stages[name].items())))
        for name in sorted(stages, key=lambda name: (name != briefed, name in BUILTIN_MODELS, name))
    ]


def _personas(tables: Tables, reached: list[Row]) -> list[Persona]:
    rows = {row.text("persona"): row for row in tables.rows("personas")}
    names = {row.text("persona") for row in reached}

    def order(name: str) -> tuple[bool, bool, int, str]:
        people = rows[name].values["person_count"] if name in rows else 0
        return (name != ALL, name == UNASSIGNED, -people, name)

    return [_persona(name, tables.labels, rows.get(name)) for name in sorted(names, key=order)]


def _persona(name: str, labels: Labels, row: Row | None) -> Persona:
    label = "Everybody" if name == ALL else labels.persona(name)
    if row is None:
        return Persona(name, label)
    return Persona(
        key=name,
        label=label,
        description=display_text(row.text("description"), TEXT_LENGTH),
        rule=display_text(row.text("rule"), TEXT_LENGTH),
        is_outcome_based=bool(row.values["is_outcome_based"]),
        is_trait_undated=bool(row.values["is_trait_undated"]),
        person_count=row.figure(_PEOPLE),
    )


def _periods(reached: list[Row]) -> list[Period]:
    names = {row.text("period") for row in reached}
    return [
        Period(name, "the whole time" if name == ALL else display_text(name))
        for name in sorted(names, key=lambda name: (name != ALL, name))
    ]


def _map(tables: Tables, model: MapModel, persona: str, period: str) -> JourneyMap | None:
    key = (model.key, persona, period)
    reached = tables.by("map_stages", *MAP).get(key)
    if not reached:
        return None
    last = len(model.stages)
    stages = [cells.MapStage(*key, stage, stage.index == last) for stage in model.stages]
    labels = {stage.key: stage.label for stage in model.stages}
    causes = [row for row in tables.by("opportunities", *MAP).get(key, []) if cells.is_cause(row)]
    ranked = sorted(causes, key=lambda row: row.values["opportunity_rank"])
    # The chain is of the whole time.
    gains = gains_by_stage(tables.published, model, persona) if ranked and period == ALL else {}
    return JourneyMap(
        model=model.key,
        persona=persona,
        period=period,
        rows=tuple(
            MapRow(row.key, row.label, row.hint, tuple(cells.read_cell(row, tables, stage) for stage in stages))
            for row in MAP_ROWS
        ),
        reached=tuple(_stage_reach(row, labels) for row in sorted(reached, key=lambda row: row.values["stage_index"])),
        funnel=_funnel(tables, *key) or Funnel(model.key, model.label, persona, period, "person", ()),
        opportunities=tuple(_opportunity(row, labels, tables.labels, gains) for row in ranked[:MAX_OPPORTUNITIES]),
        opportunity_rest_count=max(len(ranked) - MAX_OPPORTUNITIES, 0),
    )


def _stage_reach(row: Row, labels: dict[str, str]) -> StageReach:
    reached, advanced, *rest = cells.outcome_figures(row)
    dropped, pending, drop_off = (figure if figure.value is not None else None for figure in rest)
    return StageReach(row.text("stage"), labels[row.text("stage")], reached, advanced, dropped, pending, drop_off)


def _opportunity(row: Row, labels: dict[str, str], names: Labels, gains: dict[str, str]) -> Opportunity:
    people, lost, worth, alone = cells.opportunity_figures(row)
    return Opportunity(
        rank=row.values["opportunity_rank"],
        stage_label=labels.get(row.text("stage")) or label_text(row.text("stage")),
        origin=display_text(row.text("origin").replace("_", " ")),
        kind=cells.pain_kind(row),
        grade=cells.grade_text(row),
        subject=cells.subject_text(row, names),
        slice=display_text(row.text("slice")),
        days=cells.days_text(row),
        headline=display_text(row.text("headline"), HEADLINE_LENGTH),
        people=people,
        lost=lost,
        worth=worth,
        alone=alone,
        owner=display_text(row.text("owner")),
        remedy=display_text(row.text("remedy"), HEADLINE_LENGTH),
        # Those lost to a broken promise did not all leave at its stage.
        what_if=gains.get(row.text("stage"), "") if row.text("origin") != "promise" else "",
    )


def _configured_funnels(tables: Tables, personas: tuple[str, ...]) -> tuple[Funnel, ...]:
    """Return the funnels that are no stage funnels, by name, over the whole time, for each of the personas."""
    names = sorted({row.text("funnel") for row in tables.by("funnel_steps", "kind").get("steps", [])})
    found = (_funnel(tables, name, persona, ALL) for name in names for persona in personas)
    return tuple(funnel for funnel in found if funnel)


def _funnel(tables: Tables, funnel: str, persona: str, period: str) -> Funnel | None:
    """Return one funnel of one persona and period, None when nobody entered it."""
    rows = tables.by("funnel_steps", *STEP[:3]).get((funnel, persona, period))
    if not rows:
        return None
    first = rows[0]
    return Funnel(
        key=funnel,
        label=label_text(funnel),
        persona=persona,
        period=period,
        unit=display_text(first.text("unit")),
        steps=tuple(_step(tables, row) for row in sorted(rows, key=lambda row: row.values["step_index"])),
        is_outcome_based=bool(first.values.get("is_outcome_based")),
    )


def _step(tables: Tables, row: Row) -> FunnelStep:
    reached, advanced, dropped, pending, drop_off = cells.outcome_figures(row)
    key: tuple[str, str, str, int] = tuple(row.values[column] for column in STEP)
    touchpoints, actions = cells.last_touchpoints(tables, key), cells.next_actions(tables, key)
    return FunnelStep(
        label=label_text(row.text("step")),
        index=row.values["step_index"],
        reached=reached,
        advanced=advanced,
        dropped=dropped,
        pending=pending,
        drop_off=drop_off,
        median=cells.median_time(row),
        value_at_stake=cells.value_at_stake(row),
        last_touchpoints=tuple(
            cells.last_touchpoint_item(last, tables.labels) for last in touchpoints[:MAX_LAST_TOUCHPOINTS]
        ),
        next_actions=tuple(cells.next_action_item(action, tables.labels) for action in actions[:MAX_NEXT_ACTIONS]),
        last_rest_count=max(len(touchpoints) - MAX_LAST_TOUCHPOINTS, 0),
        next_rest_count=max(len(actions) - MAX_NEXT_ACTIONS, 0),
    )


def _flow(tables: Tables, model: MapModel, persona: str) -> Flow:
    """Return the links of a persona: where journeys began, moved and ended."""
    rows = tables.by("stage_transitions", "model", "persona").get((model.key, persona), [])
    labels = {stage.key: stage.label for stage in model.stages} | ENDS
    links = [_link(row, labels) for row in rows if row.values["transition_count"]]
    entries = (_entry_link(model, persona, stage.key, rows, labels) for stage in model.stages)
    return Flow(model.key, persona, tuple(link for link in (*entries, *links) if link))


def _link(row: Row, labels: dict[str, str]) -> FlowLink:
    rate, count, median = cells.transition_figures(row)
    start, end = row.text("from_stage"), row.text("to_stage")
    return FlowLink(
        start=start,
        end=end,
        start_label=labels.get(start) or display_text(start),
        end_label=labels.get(end) or display_text(end),
        count=count,
        rate=rate if rate.value is not None else None,
        median=median if median.value is not None else None,
        is_backward=bool(row.values["is_backward"]),
    )


def _entry_link(model: MapModel, persona: str, stage: str, rows: list[Row], labels: dict[str, str]) -> FlowLink | None:
    """Return the journeys that began in a stage: its visits that no other stage's visit led to."""
    visits = sum(row.values["transition_count"] for row in rows if row.text("from_stage") == stage)
    arrivals = sum(row.values["transition_count"] for row in rows if row.text("to_stage") == stage)
    if visits <= arrivals:
        return None
    of_flow = conjunction((("model", model.key), ("persona", persona)))
    is_visit, is_arrival = (conjunction(((column, stage),)) for column in ("from_stage", "to_stage"))
    total = "coalesce(sum(transition_count)"
    query = (
        f"select cast({total} filter (where {is_visit}), 0) - {total} filter (where {is_arrival}), 0) as bigint)"
        f" as journey_count from stage_transitions where {of_flow}"
    )
    source = FigureSource("stage_transitions", (), ("journey_count",), query)
    count = Figure("journeys begun here", visits - arrivals, "visits", source)
    return FlowLink("entry", stage, ENDS["entry"], labels[stage], count)


def _blind_spots(tables: Tables) -> tuple[BlindSpot, ...]:
    """Return the most severe blind spots first, then by share and kind."""
    severities = list(SEVERITIES)

    def order(spot: BlindSpot) -> tuple[int, float, str, str]:
        share = spot.share.value if isinstance(spot.share.value, float) else 0.0
        return (severities.index(spot.severity), -share, spot.kind, spot.subject)

    return tuple(sorted((_blind_spot(row) for row in tables.rows("blind_spots")), key=order)[:MAX_BLIND_SPOTS])


def _blind_spot(row: Row) -> BlindSpot:
    kind = row.text("kind")
    return BlindSpot(
        kind=kind,
        kind_label=BLIND_SPOT_KINDS.get(kind) or display_text(kind.replace("_", " ")),
        subject=display_text(row.text("subject")),
        severity=SEVERITIES.get(row.text("severity"), "note"),
        detail=display_text(row.text("detail"), DETAIL_LENGTH),
        items=row.figure(MapFigure("item_count", "items", "items")),
        share=row.figure(MapFigure("share_rate", "share", "rate")),
    )


def _definitions(tables: Tables, models: tuple[MapModel, ...], personas: tuple[Persona, ...]) -> Iterator[Paragraph]:
    """Yield what names mean in this project: personas, stages, methods of sentiment, promises."""
    yield from (Paragraph(f"Persona {persona.label}", _persona_text(persona)) for persona in personas)
    yield from (Paragraph(f"Stages of {model.label}", _stages_text(tables, model)) for model in models)
    methods = {display_text(row.text("method")) for row in tables.rows("stage_sentiment") if row.text("method")}
    if methods:
        yield Paragraph("Sentiment is measured by", display_text("; ".join(sorted(methods)), DEFINITION_LENGTH))
    promises = sorted({f"{row.text('promise')} ({row.text('stage')})" for row in tables.rows("promises")})
    if promises:
        yield Paragraph("Promises", display_text("; ".join(map(display_text, promises)), DEFINITION_LENGTH))


def _persona_text(persona: Persona) -> str:
    parts = (
        persona.description and f"{persona.description.rstrip('.')}.",
        f"Rule: {persona.rule}." if persona.rule else "",
        "It is defined by an outcome: its own conversion is true by definition." if persona.is_outcome_based else "",
        "Its traits have no dates: they are those of today." if persona.is_trait_undated else "",
    )
    return " ".join(part for part in parts if part)


def _stages_text(tables: Tables, model: MapModel) -> str:
    """Return the stages of a model with the names of the events found in each."""
    event_types = tables.by("event_kinds", "model", "stage")
    texts = []
    for stage in model.stages:
        names = sorted({display_text(row.text("event_name")) for row in event_types.get((model.key, stage.key), [])})
        texts.append(f"{stage.label}: {', '.join(names) or 'no event was seen'}")
    return display_text("; ".join(texts), DEFINITION_LENGTH)
