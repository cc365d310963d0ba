"""Incremental runs decide who is who as a full refresh does, whatever a later file says of ids.

Each run is over many small worlds at once, which share no id: each is a random history of its own.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import journeyflow
from journeyflow.config import load_config
from journeyflow.engines import DuckDBEngine
from support.rebuild_compare import Tables, compare, published

MANY = int(os.environ.get("JOURNEYFLOW_EXAMPLES", "1"))
WORLDS, RUNS = (60, 5) if "JOURNEYFLOW_EXAMPLES" in os.environ else (30, 3)
START = datetime(2026, 3, 1)
AGENT = "Mozilla/5.0"
PLACEHOLDERS = ("undefined", " ", "NULL", "[object Object]")
DECISIONS = {
    "persons": "select person_id, min(device_key), count(*) from identity.persons as persons "
    "left join identity.identities using (person_key) group by all",
    "identities": "select device_key, person_key, component_key, is_shared, decision from identity.identities",
    "users": "select user_key, user_id, person_key, component_key from identity.users",
    "aliases": "select * from identity.user_aliases",
    "events": "select event_id, source_ix, kernel_events.person_key from staging.events "
    "inner join kernel.events as kernel_events on kernel_events.event_ix = events.event_ix",
    "shared": "select * from identity.shared_device_events",
    "devices": "select * from identity.device_events",
}
"""What a build decided of ids, by the ids that other builds have too."""


class World:
    """A few ids, some of which are those of a device and a user, and the events that name them."""

    def __init__(self, number: int, rng: random.Random) -> None:
        self.rng, self.name = rng, f"w{number}"
        self.told: list[dict] = []

    def device(self) -> str:
        return self._id(("d0", "d1", "d2", "x", "y"))

    def user(self) -> str:
        return self._id(("u0", "u1", "u2", "x", "y", "z"))

    def _id(self, names: tuple[str, ...]) -> str:
        return self.rng.choice(PLACEHOLDERS) if self.rng.random() < 0.08 else f"{self.name}-{self.rng.choice(names)}"

    def event(self, day: int) -> dict:
        """Return an event of a day, or another version of a known one."""
        rng = self.rng
        minutes = rng.choice([rng.randrange(day * 1440), (day - 1) * 1440 + rng.randrange(1440)])
        row = {
            "id": f"{self.name}-e{len(self.told)}",
            "ts": (START + timedelta(minutes=minutes)).isoformat(),
            "arrived": (START + timedelta(days=day, minutes=rng.randrange(60))).isoformat(),
            "event": "page_view",
            "agent": "Bingbot/1.0" if rng.random() < 0.05 else AGENT,
        }
        kind = rng.random()
        if kind < 0.15:  # A login names the id of its device before it.
            device = self.device()
            row |= {"event": "alias", "device": device, "user": self.user(), "previous_id": device, "is_login": True}
        elif kind < 0.4:
            row |= {"event": "alias", "user": self.user(), "previous_id": rng.choice([self.user, self.device])()}
            row |= {"device": self.device()} if rng.random() < 0.3 else {}
        else:
            row |= {"device": self.device()} if rng.random() < 0.8 else {}
            row |= {"user": self.user()} if "device" not in row or rng.random() < 0.4 else {}
        if self.told and rng.random() < 0.15:  # Received earlier than the known version, it takes its place.
            known = rng.choice(self.told)
            arrived = datetime.fromisoformat(known["arrived"]) - timedelta(seconds=1)
            row |= {"id": known["id"], "arrived": arrived.isoformat(), "ts": known["ts"]}
        self.told.append(row)
        return row


def config_text(person_id: str) -> str:
    columns = {
        "event_id": "id", "occurred_at": "ts", "received_at": "arrived", "anonymous_id": "device", "user_id": "user",
        "event_name": "event", "user_agent": "agent",
    }  # fmt: skip
    source = {"format": "jsonl", "path": "in/*.jsonl", "channel": "web", "columns": columns}
    return json.dumps({
        "sources": {"web": source | {"properties": ["previous_id", "is_login"]}},
        "models": {"four_stage": "builtin"},
        "privacy": {"person_id": person_id},
        "min_count": 1,
        "clock_skew": "60d",
    })  # fmt: skip


def decisions(folder: Path) -> Tables:
    with DuckDBEngine(folder / "state" / "build.duckdb", read_only=True) as build:
        return {name: pl.DataFrame(pl.from_arrow(build.rows(query))) for name, query in DECISIONS.items()}


@pytest.mark.long
@pytest.mark.parametrize("person_id", ["clear", "pseudonymous"])
@pytest.mark.parametrize("number", range(MANY))
def test_later_files_change_the_same_persons(tmp_path, person_id, number):
    rng = random.Random(f"{number}/{person_id}")
    worlds = [World(world, rng) for world in range(WORLDS)]
    folder = tmp_path / "project"
    (folder / "in").mkdir(parents=True)
    (folder / "journeyflow.yml").write_text(config_text(person_id), encoding="utf-8")
    for run in range(RUNS):
        day = 4 * (run + 1)
        # Most worlds rest in a run: their persons must stay as they are.
        acting = worlds if run == 0 else rng.sample(worlds, WORLDS * 2 // 3)
        rows = [
            world.event(day)
            for world in acting
            for _ in range(rng.choice([4, 5, 6]) if run == 0 else rng.choice([1, 2]))
        ]
        (folder / "in" / f"{run}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        report = journeyflow.run(load_config(folder / "journeyflow.yml"))
        assert run == 0 or report.built.startswith("incremental"), report.built
        fresh = tmp_path / f"fresh{run}"
        shutil.copytree(folder, fresh, ignore=shutil.ignore_patterns("published", "*.duckdb*", "raw", "work"))
        journeyflow.run(load_config(fresh / "journeyflow.yml"))
        for mine, theirs in ((decisions, decisions), (published, published)):
            found = compare(mine(folder), theirs(fresh))
            assert not found.differences, f"run {run}:\n" + "\n".join(found.differences)
