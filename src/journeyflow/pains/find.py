"""The relations `statistics.pains`, `pain_parts`, `pain_persons`: the findings, by persona and month."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from journeyflow.models.metadata import arrow_schema
from journeyflow.models.python_models import python_model
from journeyflow.pains.findings import NORMAL, Finding
from journeyflow.pains.places import read_levels
from journeyflow.pains.promises import broken_promises
from journeyflow.pains.search import search
from journeyflow.pains.stream import Bools, Floats, Stream, read_stream

if TYPE_CHECKING:
    from journeyflow.engines import Engine

EPOCH = datetime.date(1970, 1, 1)
RECENT_DAYS = 2
COMPARED = {
    "incident": "the same slice before and after, and the others in the same days",
    "gap": "others who came to the same point, alike in what was known of them then",
    "exposure": "persons at the same event and with the same prospects who did not meet it then",
    "friction": "persons at the same event and with the same prospects who did not meet it then",
    "promise": "persons alike whose promise was kept, from the time when it was due",
}


@python_model("statistics.pains", "statistics.pain_parts", "statistics.pain_persons")
def find_pains(engine: Engine) -> None:
    """Search all models for pain points, and divide what each cost among personas and months.

    References
    ----------
    `docs/adr/0030-causes-of-loss.md`.
    """
    min_count = engine.rows("select min_count from config.settings").column("min_count")[0].as_py()
    stream = read_stream(engine)
    found: list[Finding] = []
    if len(stream):
        for model, levels in read_levels(engine, stream).items():
            found += search(stream, model, levels, min_count, engine.require_running)
        # Who is lost to a promise is somebody who does not reach the goal again.
        goal_rate = 1.0 if stream.kinds["is_goal"].any() else None
        promised = [replace(one, goal_rate=goal_rate) for one in broken_promises(engine, stream, min_count)]
        found += [
            replace(one, model_index=model, stage_index=stage)
            for one in promised
            for model, stage in _stages_of(engine, one)
        ]
    pains = [_pain(stream, number, finding) for number, finding in enumerate(found, start=1)]
    parts = [part for number, finding in enumerate(found, start=1) for part in _parts(stream, number, finding)]
    persons = [_persons(stream, number, finding) for number, finding in enumerate(found, start=1)]
    for name, rows in (
        ("statistics.pains", pl.DataFrame(pains, infer_schema_length=None)),
        ("statistics.pain_parts", pl.DataFrame(parts, infer_schema_length=None)),
        ("statistics.pain_persons", pl.concat(persons) if persons else pl.DataFrame()),
    ):
        schema = arrow_schema(name)
        engine.register(name, rows.select(schema.names).to_arrow().cast(schema) if len(rows) else schema.empty_table())


def _stages_of(engine: Engine, promise: Finding) -> list[tuple[int, int]]:
    """Return where a promise stands in each model: at the stage of the same name, else at the last."""
    stages = engine.rows(
        "select model_index, stage_index, stage from config.stages order by model_index, stage_index"
    ).to_pylist()
    own = next(
        row["stage"]
        for row in stages
        if (row["model_index"], row["stage_index"]) == (promise.model_index, promise.stage_index)
    )
    places: dict[int, int] = {row["model_index"]: row["stage_index"] for row in stages}
    places |= {row["model_index"]: row["stage_index"] for row in stages if row["stage"] == own}
    return sorted(places.items())


def _pain(stream: Stream, number: int, finding: Finding) -> dict[str, Any]:
    until = int(stream.day.max()) - RECENT_DAYS
    return {
        "pain_ix": number,
        "model_index": finding.model_index,
        "stage_index": finding.stage_index,
        "kind": finding.kind,
        "subject": finding.subject or "entry",
        "slice": finding.slice,
        "first_day": _date(finding.first_day),
        "last_day": _date(finding.last_day),
        "is_ongoing": None if finding.last_day is None else finding.last_day >= until,
        "grade": finding.grade,
        "compared_with": COMPARED[finding.kind]
        + (f" (estimated from one person in {stream.persons_each})" if stream.persons_each > 1 else ""),
        "q_value": finding.q_value,
        "e_value": finding.e_value,
        "within_seconds": None if finding.within_us is None else finding.within_us / 1e6,
    }


def _date(day: int | None) -> datetime.date | None:
    return None if day is None else EPOCH + datetime.timedelta(days=day)


def _parts(stream: Stream, number: int, finding: Finding) -> Iterator[dict[str, Any]]:
    """Divide the persons lost among personas and among months in proportion to the shortfall in each."""
    journey = stream.journey[finding.rows]
    persona = stream.facts["persona"].to_numpy()[journey]
    month = stream.facts["month"].to_numpy()[journey]
    short = finding.expected - finding.went_on
    total = max(float(short.sum()), 0.0)
    everybody = np.ones(len(short), np.bool_)
    personas, months = sorted(set(persona)), sorted(set(month))
    of_persona = _divided(total, {name: float(short[persona == name].sum()) for name in personas})
    of_month = _divided(total, {name: float(short[month == name].sum()) for name in months})
    whole = {("all", "all"): (everybody, total)}
    whole |= {(name, "all"): (persona == name, of_persona[name]) for name in personas}
    whole |= {("all", name): (month == name, of_month[name]) for name in months}
    for one in personas:
        for other in months:
            inside = (persona == one) & (month == other)
            if inside.any():
                own = max(float(short[inside].sum()), 0.0)
                whole[one, other] = (inside, min(own, of_persona[one], of_month[other]))
    for (one, other), (inside, lost) in whole.items():
        yield _part(number, finding, stream.persons_each, one, other, inside, lost)


def _divided(total: float, shares: dict[str, float]) -> dict[str, float]:
    positive = {name: max(share, 0.0) for name, share in shares.items()}
    summed = sum(positive.values())
    return {name: total * share / summed if summed else 0.0 for name, share in positive.items()}


def _part(
    number: int, finding: Finding, each: int, persona: str, period: str, inside: Bools, lost: float
) -> dict[str, Any]:
    expected: Floats = finding.expected[inside]
    own = float((expected * (1 - expected)).sum()) if finding.standard_error else 0.0
    error = float(np.sqrt(own + (len(expected) * finding.standard_error) ** 2))
    share = len(expected) / len(finding.rows)
    low, high = max(lost - NORMAL * error, 0.0), lost + NORMAL * error
    goals, goals_low, goals_high = _goals_lost(finding, lost, error)
    return {
        "pain_ix": number,
        "persona": persona,
        "period": period,
        "person_count": len(expected) * each,
        "compared_count": finding.compared_count * each,
        "rate": float(finding.went_on[inside].mean()),
        "expected_rate": float(np.clip(expected.mean(), 0.0, 1.0)),
        "lost": lost * each,
        "lost_low": low * each,
        "lost_high": high * each,
        "goals_lost": None if goals is None else goals * each,
        "goals_lost_low": None if goals_low is None else goals_low * each,
        "goals_lost_high": None if goals_high is None else goals_high * each,
        "refund_count": None if finding.refund_count is None else finding.refund_count * share * each,
        "sentiment_effect": finding.sentiment_effect,
    }


def _goals_lost(finding: Finding, lost: float, error: float) -> tuple[float | None, float | None, float | None]:
    """Return how many of the persons lost would have reached the goal, and the ends of the 95 % interval."""
    rate = finding.goal_rate
    if rate is None:
        return None, None, None
    goals, own = lost * rate, lost * rate * (1 - rate)
    goals_error = float(np.sqrt((rate * error) ** 2 + (lost * finding.goal_rate_error) ** 2 + own))
    return goals, max(goals - NORMAL * goals_error, 0.0), goals + NORMAL * goals_error


def _persons(stream: Stream, number: int, finding: Finding) -> pl.DataFrame:
    facts = stream.facts[stream.journey[finding.rows]]
    return pl.DataFrame(
        {
            "pain_ix": np.full(len(finding.rows), number),
            "person_key": stream.person_keys[stream.person[finding.rows]],
            "persona": facts["persona"],
            "period": facts["month"],
            "is_lost": ~finding.went_on,
            "persons_each": np.full(len(finding.rows), stream.persons_each),
        }
    )
