"""One night: load → stitch → classify → build → check → publish."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from journeyflow import checks, relations, resources, runs
from journeyflow.engines import DuckDBEngine, default_memory_limit
from journeyflow.errors import InputError, JourneyflowError
from journeyflow.loading import Loaded, load_sources, register_configuration
from journeyflow.lock import held
from journeyflow.models import Graph, Model, Phase, load
from journeyflow.progress import Progress, silent
from journeyflow.publish import RunFacts, publish

if TYPE_CHECKING:
    from journeyflow.config import Config

WAREHOUSE = "warehouse.duckdb"
BUILD = "build.duckdb"


class RunReport(BaseModel):
    """What a night did; times are naive UTC.

    Attributes
    ----------
    status : str
        ``published``.
    phase_seconds : mapping of str to float
        Seconds of each phase, in their order.
    generation : Path
        The published folder.
    table_rows : mapping of str to int
        Rows of each published table.
    alarms : tuple of str
        Sentences about what somebody should look at.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    status: str
    started_at: datetime
    finished_at: datetime
    high_water_at: datetime
    event_count: int
    record_count: int
    accepted_count: int
    quarantined_count: int
    duplicate_count: int
    filtered_count: int
    erased_count: int
    elapsed_seconds: float
    phase_seconds: dict[str, float]
    check_count: int
    generation: Path
    table_rows: dict[str, int]
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlanEntry:
    """One line of `plan`: a model, its phase, what it reads and why it runs."""

    model: str
    phase: str
    reads: tuple[str, ...]
    why: str


class Night:
    """One run, phase by phase; the command line and the flow call the same methods.

    Parameters
    ----------
    config : Config
        A validated configuration.
    as_of : datetime or None
        High-water mark, naive UTC; None is the latest accepted event.
    memory_limit : str or None
        What the database may use before it spills, e.g. ``"2GB"``; None reads ``JOURNEYFLOW_MEMORY_LIMIT``, else 1 GB.
    threads : int or None
        Threads of the database; None is one for each core.
    progress : Progress or None
        Told how far long work is.

    Examples
    --------
    Inside ``with Night(config) as night:`` call ``load``, ``stitch``, ``classify``, ``build``, ``check``, ``publish``.

    Notes
    -----
    Entering takes the lock. Leaving by an error marks the run as failed, removes what it built and leaves the last
    generation served.
    """

    def __init__(
        self,
        config: Config,
        *,
        as_of: datetime | None = None,
        memory_limit: str | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.config = config
        self.as_of = as_of
        self.progress = progress or silent
        self.phase_seconds: dict[str, float] = {}
        self.generation: Path | None = None
        self.check_count = 0
        self.row: runs.RunRow
        self.graph: Graph
        self.work: Path
        self._limits: dict[str, Any] = {"memory_limit": memory_limit or default_memory_limit(), "threads": threads}
        self._resources = ExitStack()
        self._engine: DuckDBEngine | None = None
        self._loaded: Loaded | None = None
        self._filled: set[str] = set()

    def __enter__(self) -> Night:
        self._resources.enter_context(held(self.config.state))
        try:
            self._begin()
        except BaseException:
            self._resources.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._end(is_good=kind is None and self.generation is not None)
        finally:
            self._resources.close()

    @property
    def run_id(self) -> str:
        """The id of this run; ids sort by time."""
        return self.row.run_id

    @property
    def engine(self) -> DuckDBEngine:
        """The build database, there once `load` is done."""
        if self._engine is None:
            raise JourneyflowError("The night has not loaded yet; call `load` before the other phases.")
        return self._engine

    @property
    def loaded(self) -> Loaded:
        """What `load` found."""
        if self._loaded is None:
            raise JourneyflowError("The night has not loaded yet; call `load` before the other phases.")
        return self._loaded

    def load(self) -> None:
        """Bring new files into the warehouse, fix the high-water mark, open the build database.

        Raises
        ------
        InputError
            When no accepted event lies at or before the high-water mark.
        """
        with self._timed(Phase.LOAD):
            with self._warehouse() as warehouse:
                self._loaded = load_sources(self.config, warehouse, self.run_id, self.as_of, self.progress)
            if not self.loaded.event_count:
                raise InputError(
                    "No event was accepted up to the high-water mark. See `landed.quarantine` of the warehouse for why "
                    "rows were refused, and `path` and `columns` of the sources."
                )
            self.config = self.loaded.config
            self.row = replace(self.row, high_water_at=self.loaded.high_water_at, event_count=self.loaded.event_count)
            self._open_build()

    def stitch(self) -> None:
        """Join devices and users into persons."""
        self._build(Phase.STITCH)

    def classify(self) -> None:
        """Put events into stages, sessions, journeys and funnels."""
        self._build(Phase.CLASSIFY)

    def build(self) -> None:
        """Build every other model, the published tables among them."""
        self._build(Phase.BUILD)

    def check(self) -> None:
        """Check every model against its side file.

        Raises
        ------
        CheckFailedError
            Lists all failing checks with their counts.
        """
        with self._timed("check"):
            self._tell_run()
            self.check_count = checks.require(self.engine, [model for model in self.graph if self._is_checked(model)])

    def publish(self) -> Path:
        """Publish a generation and return its folder.

        Raises
        ------
        JourneyflowError
            When the tables were not checked.
        """
        if not self.check_count:
            raise JourneyflowError("The tables of this night were not checked; call `check` before `publish`.")
        with self._timed("publish"):
            self._tell_run()
            facts = RunFacts(
                run_id=self.run_id,
                project=self.config.project,
                version=self.row.version,
                config_hash=self.row.config_hash,
                started_at=self.row.started_at,
                published_at=runs.now(),
                high_water_at=self.loaded.high_water_at,
                event_count=self.loaded.event_count,
            )
            self.generation = publish(self.engine, self.graph.published(), self.config.publish, facts)
        return self.generation

    def report(self) -> RunReport:
        """Return what this night did; call it when it has published."""
        if self.generation is None:
            raise JourneyflowError("The night has not published yet; call `publish` before `report`.")
        from journeyflow.publish import read_manifest

        manifest = read_manifest(self.generation)
        return RunReport(
            run_id=self.run_id,
            status="published",
            started_at=self.row.started_at,
            finished_at=manifest.published_at,
            high_water_at=manifest.high_water_at,
            event_count=manifest.event_count,
            **self.loaded.counts,
            elapsed_seconds=round(sum(self.phase_seconds.values()), 3),
            phase_seconds=self.phase_seconds,
            check_count=self.check_count,
            generation=self.generation,
            table_rows={name: entry.row_count for name, entry in manifest.tables.items()},
            alarms=self.loaded.alarms,
        )

    def _begin(self) -> None:
        self.graph = graph_of(self.config)
        started = runs.now()
        self.row = runs.RunRow(
            run_id=started.strftime("%Y%m%dT%H%M%S%f"),
            started_at=started,
            config_hash=self.config.hash,
            version=version("journeyflow"),
        )
        shutil.rmtree(self.config.state / "work", ignore_errors=True)  # Of runs that were killed: we hold the lock.
        self.work = self.config.state / "work" / self.run_id
        self.work.mkdir(parents=True)
        with self._warehouse() as warehouse:
            runs.close_interrupted(warehouse, self.config.publish / "generations")
            runs.write(warehouse, self.row)

    def _end(self, *, is_good: bool) -> None:
        if self._engine is not None:
            self._engine.close()
        if is_good:
            kept = self.config.state / BUILD
            # A log of an older file beside the new one would make it unopenable.
            kept.with_name(f"{BUILD}.wal").unlink(missing_ok=True)
            (self.work / BUILD).replace(kept)
        shutil.rmtree(self.config.state / "work", ignore_errors=True)
        with self._warehouse() as warehouse:
            runs.write(warehouse, self._finished("published" if is_good else "failed"))

    def _finished(self, status: str) -> runs.RunRow:
        finished = runs.now()
        elapsed = (finished - self.row.started_at).total_seconds()
        return replace(self.row, status=status, finished_at=finished, elapsed_seconds=elapsed)

    @contextmanager
    def _warehouse(self) -> Iterator[DuckDBEngine]:
        from journeyflow.ingest import open_warehouse

        spill = self.config.state / "work" / "spill"
        with open_warehouse(self.config.state / WAREHOUSE, temp_folder=spill, **self._limits) as warehouse:
            yield warehouse

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.phase_seconds[str(phase)] = round(time.perf_counter() - started, 3)

    def _open_build(self) -> None:
        spill = self.work / "spill"
        self._engine = DuckDBEngine(self.work / BUILD, temp_folder=spill, **self._limits)
        self._engine.attach(self.config.state / WAREHOUSE, "warehouse")
        for model in self.graph.of_phase(Phase.LOAD):
            if model.layer in ("landed", "ledger"):
                self._engine.run(model.name, f"select * from warehouse.{model.name}", kind="view")
        register_configuration(self._engine, self.config, self.loaded, self.run_id)
        self._engine.register("config.columns", dictionary(self.graph))
        self._tell_run()

    def _tell_run(self) -> None:
        """Let `ledger.runs` of the build database, and what reads it, hold this run as it will be published."""
        earlier = self.engine.rows("select * from warehouse.ledger.runs where run_id <> ?", [self.run_id])
        row = self._finished("published").table()
        self.engine.register("ledger.runs", pa.concat_tables([earlier.cast(runs.SCHEMA), row]))
        for model in self.graph:
            if "ledger.runs" in model.inputs and self.engine.columns(model.name) and model.sql:
                self.engine.run(model.name, model.sql, kind=model.paperwork.kind)

    def _build(self, phase: Phase) -> None:
        models = self.graph.of_phase(phase)
        with self._timed(phase):
            for done, model in enumerate(models):
                self.progress(phase, model.name, done, len(models))
                self._build_model(model)
            self.progress(phase, "models", len(models), len(models))

    def _build_model(self, model: Model) -> None:
        if model.sql is not None:
            self.engine.run(model.name, model.sql, kind=model.paperwork.kind)
            return
        name = model.paperwork.filled_by or ""
        # One function may fill several relations: it runs once.
        if name not in self._filled:
            relations.filler(name, model.name)(self.engine, self.config)
            if name not in relations.COMPILED:
                self._filled.add(name)

    def _is_checked(self, model: Model) -> bool:
        return model.layer not in ("landed", "ledger")


def run(
    config: Config,
    *,
    as_of: datetime | None = None,
    memory_limit: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> RunReport:
    """Run one whole night and publish its tables.

    Parameters
    ----------
    config, as_of, memory_limit, threads, progress
        See `Night`.

    Returns
    -------
    RunReport

    Raises
    ------
    JourneyflowError
        Whatever failed; the last generation is still served.
    """
    with Night(config, as_of=as_of, memory_limit=memory_limit, threads=threads, progress=progress) as night:
        night.load()
        night.stitch()
        night.classify()
        night.build()
        night.check()
        night.publish()
        return night.report()


def plan(config: Config) -> tuple[PlanEntry, ...]:
    """Return the models of a project in the order of a night, with the reason why each runs."""
    graph = graph_of(config)
    readers: Mapping[str, list[str]] = {model.name: [] for model in graph}
    for model in graph:
        for upstream in model.inputs:
            readers[upstream].append(model.name)
    order = {phase: position for position, phase in enumerate(Phase)}
    entries = [PlanEntry(model.name, graph.phase(model.name), model.inputs, _why(model, readers)) for model in graph]
    return tuple(sorted(entries, key=lambda entry: order[Phase(entry.phase)]))


def _why(model: Model, readers: Mapping[str, list[str]]) -> str:
    origin = "your own, " if model.is_own else ""
    used = "published" if model.is_published else f"read by {', '.join(readers[model.name]) or 'nobody'}"
    return f"{origin}{used}"


def graph_of(config: Config) -> Graph:
    """Return the models of a project: the built-in ones, and the user's own beside `journeyflow.yml`."""
    return load(resources.sql_folder(), own_folder(config.folder))


def own_folder(project: Path) -> Path | None:
    """Return the folder of the user's own models, ``sql/`` or ``models/`` in the project folder, or None."""
    from journeyflow.models.model import LAYERS

    folders = [
        folder for folder in (project / "sql", project / "models") if any((folder / layer).is_dir() for layer in LAYERS)
    ]
    if len(folders) > 1:
        raise InputError(f"Both {folders[0]} and {folders[1]} hold models; keep them in one of the two.")
    return folders[0] if folders else None


def open_build(config: Config) -> DuckDBEngine:
    """Open what the last good night built, for reading; the warehouse is attached as ``warehouse``.

    Raises
    ------
    InputError
        When no night has ended well yet.
    """
    path = config.state / BUILD
    if not path.exists():
        raise InputError(f"There is no {path}: run `journeyflow run` first.")
    engine = DuckDBEngine(path, read_only=True)
    engine.attach(config.state / WAREHOUSE, "warehouse")
    return engine


def dictionary(graph: Graph) -> pa.Table:
    """Return the columns of the published tables: the rows of `config.columns`."""
    rows = [
        {
            "table_name": model.table,
            "column_name": name,
            "column_index": index,
            "type": column.type,
            "unit": column.unit,
            "meaning": column.meaning,
        }
        for model in graph.published()
        for index, (name, column) in enumerate(model.columns.items(), start=1)
    ]
    fields = [(name, pa.int32() if name == "column_index" else pa.string()) for name in rows[0]]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))
