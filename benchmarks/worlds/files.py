"""Write a world as an analyst meets it: files of events, and a `journeyflow.yml` written without knowing the truth."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import polars as pl
from ruamel.yaml import YAML

from benchmarks.worlds.businesses import VALUES
from benchmarks.worlds.draw import PERSONAS, START, World
from benchmarks.worlds.simulate import DAY, Life, is_within, media

CHANNELS = {"web": "web", "chat": "chat", "support": "support", "email": "email", "delivery": "delivery"}
CHANNELS |= {"survey": "survey", "store": "store"}


def write_world(world: World, life: Life, folder: Path, *, with_slices: bool | None = None) -> Path:
    """Write events, traits and configuration; return the path of the configuration.

    Parameters
    ----------
    world, life
        The world and what happened in it.
    folder
        Where to write; made if it is not there.
    with_slices
        Whether the configuration has the keys `slices` and `passive`; by default where the product knows them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    frame = events(world, life)
    for (source,), rows in frame.group_by(["source"], maintain_order=True):
        path = folder / "data" / f"{source}.parquet"
        path.parent.mkdir(exist_ok=True)
        rows.drop("source").write_parquet(path)
    if world.persona_rule == "trait":
        names = np.array(PERSONAS["trait"])[life.people.persona]
        people = pl.DataFrame({"customer": [f"u{one}" for one in range(world.persons)], "segment": names})
        people.write_csv(folder / "data" / "people.csv")
    known = with_slices if with_slices is not None else knows_slices()
    settings = configuration(world, frame["source"].unique().sort().to_list(), with_slices=known)
    path = folder / "journeyflow.yml"
    stream = io.StringIO()
    YAML(typ="safe").dump(settings, stream)
    path.write_text(stream.getvalue(), encoding="utf-8")
    return path


def knows_slices() -> bool:
    """Say whether the installed product has the configuration key `slices`."""
    from journeyflow import Config

    return "slices" in Config.model_fields


def events(world: World, life: Life) -> pl.DataFrame:
    """Return the recorded events, a row each, ordered by source and time.

    Columns: `source`, `at` (time, or a date where the world has dates without a clock), `visitor`, `customer`, `event`,
    the slice columns as far as they are known at the event, `source_name`, `medium`, `amount` (text), `currency`,
    `reference`.
    """
    log = life.log
    sizes = [len(chunk) for chunk in log.person]
    repeat = np.repeat
    person = np.concatenate(log.person)
    at = np.concatenate(log.at)
    known = repeat(np.array(log.known), sizes)
    amount = np.concatenate([np.full(n, np.nan) if a is None else a for a, n in zip(log.amount, sizes, strict=True)])
    reference = np.concatenate([np.full(n, -1) if r is None else r for r, n in zip(log.reference, sizes, strict=True)])
    columns: dict[str, pl.Series] = {
        "source": pl.Series(repeat(np.array(log.source), sizes)),
        "second": pl.Series(at),
        "person": pl.Series(person),
        "event": pl.Series(repeat(np.array(log.name), sizes)),
    }
    for column, first in world.business.known_from.items():
        # -2: an event of another system, which knows none of this.
        shown = (known != -2) & (known >= first)
        values = np.array(VALUES[column])[life.people.slices[column][person]]
        columns[column] = pl.select(pl.when(pl.Series(shown)).then(pl.Series(values, dtype=pl.String))).to_series()
    frame = pl.DataFrame(columns)
    medium = np.array(media(life.people))[person]
    named = pl.Series(medium)
    is_paid = pl.col("medium") != "organic"
    frame = frame.with_columns(
        amount=pl.Series(amount).fill_nan(None).round(2).cast(pl.Decimal(12, 2)).cast(pl.String),
        reference=pl.when(pl.Series(reference) >= 0).then(pl.format("r{}", pl.Series(reference))),
        medium=named,
    )
    is_web = pl.col("source") == "web"
    frame = frame.with_columns(
        medium=pl.when(is_web & is_paid).then("medium"),
        source_name=pl.when(is_web & (pl.col("medium") == "cpc"))
        .then(pl.lit("adnet"))
        .when(is_web & (pl.col("medium") == "email"))
        .then(pl.lit("newsletter")),
        visitor=pl.when(is_web).then(pl.format("d{}", "person")),
        customer=pl.format("u{}", "person"),
        currency=pl.when(pl.col("amount").is_not_null()).then(pl.lit("EUR")),
    )
    frame = frame.filter((pl.col("second") >= 0) & (pl.col("second") < world.days * DAY))
    gap = world.decoy("tracking_gap")
    if gap is not None:
        is_lost = pl.Series(is_within(gap, frame["second"].to_numpy()))
        frame = frame.filter(~((pl.col("source") == gap.source) & is_lost))
    frame = frame.sort("source", "second", "person", maintain_order=True)
    start = pl.lit(START).cast(pl.Datetime("us"))
    frame = frame.with_columns(at=start + pl.duration(milliseconds=(pl.col("second") * 1000).cast(pl.Int64)))
    if world.decoy("ties") is not None:
        frame = frame.with_columns(at=pl.col("at").dt.truncate("1d"))
    return frame.drop("second", "person")


def configuration(world: World, sources: list[str], *, with_slices: bool) -> dict[str, object]:
    """Return `journeyflow.yml` as a mapping."""
    business = world.business
    return {
        "project": f"world-{business.name}",
        "timezone": "UTC",
        "state": "state/",
        "publish": "published/",
        "sources": {source: _source(world, source, with_slices) for source in sources},
        "sessions": {"offline_channels": ["store", "support", "delivery", "survey", "email"]},
        "models": {business.model: _model(world)},
        "personas": _personas(world),
        "funnels": {
            "to_goal": {
                "steps": [{"name": step.event, "when": {"event": step.event}} for step in business.steps],
                "window": "30d",
                "goal": "order",
            }
        },
        "goals": {"order": {"when": {"event": business.goal}, "value": "revenue_amount"}},
        "currency": {"report": "EUR"},
        **({"slices": list(business.known_from)} if with_slices else {}),
        **({"promises": promises} if (promises := _promises(world)) else {}),
        **(
            {"people": [{"path": "data/people.csv", "user_id": "customer", "traits": ["segment"]}]}
            if world.persona_rule == "trait"
            else {}
        ),
    }


def _source(world: World, source: str, with_slices: bool) -> dict[str, object]:
    columns: dict[str, object] = {"occurred_at": "at", "user_id": "customer", "event_name": "event"}
    if source == "web":
        columns |= {"anonymous_id": "visitor", "utm_source": "source_name", "utm_medium": "medium"}
    if source in ("web", "store"):
        columns |= {"revenue_amount": "amount", "currency": "currency"}
    settings: dict[str, object] = {
        "format": "parquet",
        "path": f"data/{source}.parquet",
        "channel": CHANNELS[source],
        "timezone": "UTC",
        "columns": columns,
    }
    properties = [*world.business.known_from, "reference"] if source == "web" else ["reference"]
    settings["properties"] = properties
    if source == "email" and with_slices:
        settings["passive"] = ["email_opened"]
    return settings


def _model(world: World) -> object:
    business = world.business
    if not business.stages:
        return "builtin"
    return {
        "stages": [
            {"name": stage, "rules": [{"id": f"{stage}_events", "when": {"event": list(names)}}]}
            for stage, names in business.stages.items()
        ]
    }


def _personas(world: World) -> list[dict[str, object]]:
    if world.persona_rule == "trait":
        return [{"name": name, "when": {"trait.segment": name}} for name in PERSONAS["trait"]]
    return [
        {"name": "campaign", "when": {"first.utm_medium": "cpc"}},
        {"name": "newsletter", "when": {"first.utm_medium": "email"}},
    ]


def _promises(world: World) -> list[dict[str, object]]:
    """What the business says it keeps to; stated whether or not it is broken."""
    business = world.business
    if business.promise is None:
        return []
    stages = list(business.stages) or ["awareness", "consideration", "decision", "post_purchase"]
    begun, kept = business.goal, business.after_goal
    stage = stages[-1]
    if kept is None:
        if business.wait is None or not _has_waits(world):
            return []
        begun, kept = business.wait[0], business.wait[1]
        names = [step.event for step in business.steps[: business.wait[2]]]
        stage = next((name for name, held in business.stages.items() if names and names[-1] in held), stages[0])
    return [
        {
            "name": business.promise,
            "stage": stage,
            "from": {"event": begun} if begun != "purchase" else {"event": begun, "channel": "web"},
            "to": {"event": kept},
            "within": business.promise_within,
            "match": "reference",
        }
    ]


def _has_waits(world: World) -> bool:
    return any(pain.kind in ("wait", "promise") for pain in world.pains) or world.decoy("harmless_wait") is not None
