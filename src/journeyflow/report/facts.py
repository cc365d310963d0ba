"""What the report says of the run, of what it cannot see, and of the words it uses."""

from __future__ import annotations

from typing import Literal

from journeyflow.report.atlas import ALL, BlindSpot, Facts, Figure, Model, Persona, Text
from journeyflow.report.sources import Source
from journeyflow.report.tables import Row, Tables
from journeyflow.report.words import SEVERITIES, SPOT_KINDS, TEXT_LENGTH, shown

DETAIL_LENGTH = 1_000
MOST_SPOTS = 200
"""Blind spots that are read, the most severe first."""


def facts(tables: Tables) -> Facts:
    """Return the facts of the run that published the tables."""
    manifest = tables.published.manifest
    run = Row("runs", {"run_id": manifest.run_id, "event_count": manifest.event_count})
    first_query = "select min(first_seen_at) as first_event_at from event_kinds"
    first_source = Source("event_kinds", (), ("first_event_at",), first_query)
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


def definitions(tables: Tables, models: tuple[Model, ...], personas: tuple[Persona, ...]) -> tuple[Text, ...]:
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


def _stages_text(tables: Tables, model: Model) -> str:
    """Return the stages of a model with the names of the events found in each."""
    kinds = tables.by("event_kinds", "model", "stage")
    said = []
    for stage in model.stages:
        names = sorted({shown(row.word("event_name")) for row in kinds.get((model.key, stage.key), [])})
        said.append(f"{stage.label}: {', '.join(names) or 'no event was seen'}")
    return shown("; ".join(said), 4 * TEXT_LENGTH)
