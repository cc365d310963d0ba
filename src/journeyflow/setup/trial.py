"""A trial: the first rows of every source go through the load and the models in memory, and nothing is kept."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from journeyflow.config.sources import POSTGRES, RemotePath
from journeyflow.errors import InputError
from journeyflow.ingest.files import RefusedFileError, matching_paths, shown_name
from journeyflow.setup.sample import copy_head
from journeyflow.setup.stages import EventLog
from journeyflow.utils.formatting import count, escaped, numbered, percent, silent

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.engines import DuckDBEngine
    from journeyflow.pipeline.load_phase import LoadResult

TRIAL_ROWS = 20_000
"""Most rows of all sources together."""
_LEAST_ROWS = 200
_RUN_ID = "trial"
_RESULTS = ("marts.funnel_steps", "marts.event_kinds", "kernel.sessions")
_MANY_QUARANTINED = 0.05
_FEW_STAGED = 0.5
_SHOWN_NAMES = 8


@dataclass(frozen=True)
class StageShare:
    """Events of one journey model: how many, how many in a stage, and the names of the others, most events first."""

    model: str
    event_count: int
    staged_count: int
    unclassified: tuple[str, ...]

    @property
    def rate(self) -> float:
        """Share of events in a stage."""
        return self.staged_count / self.event_count if self.event_count else 0.0


@dataclass(frozen=True)
class Trial:
    """What a trial found. `funnels` are pairs of a funnel's name and its (step, persons), that of the model first."""

    record_counts: dict[str, int]
    person_count: int
    session_count: int
    first_at: datetime
    last_at: datetime
    models: tuple[StageShare, ...]
    funnels: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
    is_whole: bool
    empty_models: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def staged_rate(self) -> float:
        """Share of events in a stage of the first model."""
        return self.models[0].rate if self.models else 0.0

    def lines(self) -> list[str]:
        """Return what an analyst wants to know, one sentence a line."""
        read, accepted = self.record_counts["record_count"], self.record_counts["accepted_count"]
        others = ", ".join(
            f"{count(self.record_counts[f'{kind}_count'])} {word}"
            for kind, word in (("quarantined", "in quarantine"), ("duplicate", "duplicate"), ("filtered", "filtered"))
            if self.record_counts[f"{kind}_count"]
        )
        people = "1 person" if self.person_count == 1 else f"{count(self.person_count)} people"
        some = "" if self.is_whole else " (the first rows of each source)"
        lines = [
            f"{count(accepted)} of {count(read)} rows load{f' ({others})' if others else ''}, "
            f"from {self.first_at:%Y-%m-%d} to {self.last_at:%Y-%m-%d}{some}",
            f"{people} in {numbered(self.session_count, 'session')}",
        ]
        for share in self.models:
            rest = (
                f"; in none: {', '.join(map(escaped, share.unclassified[:_SHOWN_NAMES]))}" if share.unclassified else ""
            )
            lines.append(f"{percent(share.rate)} of events are in a stage of {escaped(share.model)}{rest}")
        lines += [
            f"{escaped(name)}: " + " > ".join(f"{escaped(step)} {count(persons)}" for step, persons in steps)
            for name, steps in self.funnels
        ]
        return lines


def try_configuration(config: Config, rows: int = TRIAL_ROWS) -> Trial:
    """Load and build the first rows of every source; InputError when no row can be loaded."""
    with loaded_trial(config, rows) as (engine, loaded, is_whole):
        return _measured(engine, loaded, is_whole)


def build_events(engine: DuckDBEngine, loaded: LoadResult) -> None:
    """Build what `read_event_log` and `read_known_stages` read."""
    _build(engine, loaded, ("kernel.events", "kernel.classifications"))


def read_event_log(engine: DuckDBEngine) -> EventLog:
    """Return the events of a build in the order of each person."""
    found = engine.rows(
        """
        select events.person_key, types.event_name, types.channel
        from kernel.events as events
        inner join staging.events as staged on staged.event_ix = events.event_ix
        inner join journeys.event_types as types
            on types.event_name = staged.event_name and types.channel = staged.channel
            and types.touchpoint = staged.touchpoint and types.condition_bits = staged.condition_bits
        order by events.person_key, staged.occurred_at, staged.sequence, staged.event_id, events.event_ix
        """
    )
    columns = (found[name].to_pylist() for name in ("person_key", "event_name", "channel"))
    return EventLog.of(*columns)


def read_known_stages(engine: DuckDBEngine) -> dict[str, dict[str, str | None]]:
    """Return, by model, the stage of each event name in a build; None where no rule covers it.

    Of a name that rules on history put into several stages, the stage of most events counts.
    """
    rows = engine.rows(
        """
        select models.model, types.event_name, stages.stage, sum(classes.event_count) as n
        from kernel.classifications as classes
        inner join journeys.event_types as types on types.event_type_ix = classes.event_type_ix
        inner join config.models as models on models.model_index = classes.model_index
        left join config.stages as stages
            on stages.model_index = classes.model_index and stages.stage_index = classes.stage_index
        group by models.model, types.event_name, stages.stage
        order by models.model, types.event_name, n, stages.stage
        """
    ).to_pylist()
    found: dict[str, dict[str, str | None]] = {}
    for row in rows:
        found.setdefault(row["model"], {})[row["event_name"]] = row["stage"]
    return found


@contextmanager
def loaded_trial(config: Config, rows: int) -> Iterator[tuple[DuckDBEngine, LoadResult, bool]]:
    """Load the first rows of every source into a database in memory; copies of the rows are removed at the end."""
    from journeyflow.pipeline.load_phase import load_sources, register_configuration
    from journeyflow.state.warehouse import open_warehouse

    with tempfile.TemporaryDirectory(prefix="journeyflow-trial-") as name:
        small, copies, is_whole = _with_heads(config, Path(name), rows)
        with open_warehouse() as engine:
            try:
                loaded = load_sources(small, engine, _RUN_ID, None, silent)
            except InputError as error:
                raise InputError(_of_originals(error.message, copies, config.folder)) from error
            if not loaded.event_count:
                raise InputError(f"No row of the trial could be loaded. {loaded.why_nothing}".strip())
            register_configuration(engine, loaded.config, loaded, _RUN_ID)
            yield engine, loaded, is_whole


def _of_originals(message: str, copies: dict[Path, str], base: Path) -> str:
    """Return a message with the names of copies replaced by those of the files that they are of."""
    for copy, name in copies.items():
        message = message.replace(shown_name(copy, base), name)
    return message


def _found(config: Config, name: str, folder: Path, most_files: int) -> dict[Path, str]:
    """Return the files of a source and their names; of remote ones the beginnings, which are downloaded."""
    path = config.sources[name].path
    if isinstance(path, RemotePath) and path.scheme == POSTGRES:
        from journeyflow.ingest.postgres import read_table

        folder.mkdir()
        column = config.sources[name].watermark or ""
        seconds, rows = int(config.limits.time.total_seconds()), most_files * _LEAST_ROWS
        try:
            batches = list(read_table(path, column, None, folder, seconds, rows))
        except RefusedFileError as error:
            raise InputError(f"{escaped(path)}: {error.detail}.") from error
        return {batch.path: escaped(path) for batch in batches}
    if isinstance(path, RemotePath):
        from journeyflow.ingest.remote import download_heads

        folder.mkdir()
        return download_heads(path, name, folder, most_files)
    return {each: shown_name(each, config.folder) for each in matching_paths(str(path), config.folder)}


def _with_heads(config: Config, folder: Path, rows: int) -> tuple[Config, dict[Path, str], bool]:
    """Return the configuration with copies of the first rows as its files, and the name of the file of each copy."""
    most_files = max(rows // _LEAST_ROWS, 1)
    found = {
        name: _found(config, name, folder / f"remote-{number}", most_files)
        for number, name in enumerate(config.sources)
    }
    missing = [name for name, paths in found.items() if not paths]
    if missing:
        raise InputError(f"Source {missing[0]}: no file matches its path; correct `sources.{missing[0]}.path`.")
    quota = max(rows // sum(map(len, found.values())), _LEAST_ROWS)
    sources, copies, is_whole = {}, dict[Path, str](), True
    for number, (name, paths) in enumerate(found.items()):
        place = folder / str(number)
        place.mkdir()
        for index, (path, shown) in enumerate(islice(paths.items(), most_files)):
            copies[place / f"{index:05}"] = shown
            is_whole &= copy_head(path, place / f"{index:05}", quota, config.sources[name].encoding)
        sources[name] = config.sources[name].model_copy(update={"path": place / "*"})
    privacy = config.privacy.model_copy(update={"key_file": folder / "key"})
    changed = {"sources": sources, "state": folder / "state", "publish": folder / "published", "privacy": privacy}
    return config.model_copy(update=changed), copies, is_whole


def _build(engine: DuckDBEngine, loaded: LoadResult, wanted: tuple[str, ...]) -> None:
    from journeyflow.models import Phase
    from journeyflow.pipeline.builder import Builder
    from journeyflow.state.paths import built_in_graph

    graph = built_in_graph()
    builder = Builder(engine, graph, loaded.config)
    needed = graph.ancestors(list(wanted))
    for model in graph:
        if model.name in needed and graph.phase(model.name) != Phase.LOAD:
            builder.build_model(model)


def _measured(engine: DuckDBEngine, loaded: LoadResult, is_whole: bool) -> Trial:
    from journeyflow.pipeline.run_report import empty_maps

    _build(engine, loaded, _RESULTS)
    empty = empty_maps(engine)
    facts = engine.rows(
        "select count(distinct person_key) as persons, count(*) as events from kernel.events"
    ).to_pylist()[0]
    names = [*loaded.config.models, *loaded.config.funnels]
    steps = engine.rows(
        "select funnel, step, person_count from marts.funnel_steps where persona = 'all' and period = 'all' "
        "order by funnel, step_index"
    ).to_pylist()
    funnels = {
        name: tuple((row["step"], int(row["person_count"])) for row in steps if row["funnel"] == name) for name in names
    }
    trial = Trial(
        record_counts=loaded.counts,
        person_count=int(facts["persons"]),
        session_count=engine.count("kernel.sessions"),
        first_at=loaded.first_event_at,
        last_at=loaded.high_water_at,
        models=tuple(stage_shares(engine, list(loaded.config.models))),
        funnels=tuple((name, found) for name, found in funnels.items() if found),
        is_whole=is_whole,
        empty_models=tuple(empty),
    )
    return replace(trial, doubts=(*empty.values(), *_doubts(engine, loaded, trial)))


def stage_shares(engine: DuckDBEngine, models: list[str]) -> Iterator[StageShare]:
    """Yield, for each model, how many events are in a stage."""
    rows = engine.rows(
        """
        select model, event_name, stage, sum(event_count) as n
        from marts.event_kinds
        group by model, event_name, stage
        order by model, n desc, event_name, stage
        """
    ).to_pylist()
    for model in models:
        of_model = [row for row in rows if row["model"] == model]
        lost = tuple(dict.fromkeys(row["event_name"] for row in of_model if row["stage"] == "unclassified"))
        staged = sum(int(row["n"]) for row in of_model if row["stage"] != "unclassified")
        yield StageShare(model, sum(int(row["n"]) for row in of_model), staged, lost)


def _doubts(engine: DuckDBEngine, loaded: LoadResult, trial: Trial) -> Iterator[str]:
    counts = trial.record_counts
    if counts["quarantined_count"] > _MANY_QUARANTINED * counts["record_count"]:
        reasons = engine.rows(
            "select reason, count(*) as n from raw.quarantine group by reason order by n desc, reason limit 3"
        ).to_pylist()
        why = ", ".join(f"{row['reason']} {row['n']}" for row in reasons)
        yield f"{count(counts['quarantined_count'])} rows go to the quarantine ({why})"
    for share in trial.models:
        if share.rate < _FEW_STAGED and share.model not in trial.empty_models:
            yield f"only {percent(share.rate)} of events are in a stage of {escaped(share.model)}: journeyflow suggest"
    if trial.person_count == counts["accepted_count"] > 1:
        yield "no person has a second event: is the identifier one of persons?"
    yield from _empty_stages(trial, loaded)


def _empty_stages(trial: Trial, loaded: LoadResult) -> Iterator[str]:
    for name, steps in trial.funnels:
        if name in loaded.config.models:
            empty = [step for step, persons in steps if not persons]
            if empty and len(empty) < len(steps):
                yield f"nobody reached {', '.join(map(escaped, empty))} of {escaped(name)} in these rows"


def describe(trial: Trial) -> dict[str, Any]:
    """Return a trial as JSON content."""
    return {
        "records": trial.record_counts,
        "person_count": trial.person_count,
        "session_count": trial.session_count,
        "first_at": trial.first_at.isoformat(),
        "last_at": trial.last_at.isoformat(),
        "models": [
            {
                "model": s.model,
                "event_count": s.event_count,
                "staged_count": s.staged_count,
                "unclassified": s.unclassified,
            }
            for s in trial.models
        ],
        "funnels": {name: [{"step": step, "person_count": n} for step, n in steps] for name, steps in trial.funnels},
        "is_whole": trial.is_whole,
        "doubts": trial.doubts,
    }
