"""A run: load, stitch, classify, build, check, publish."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from journeyflow.engines import DuckDBEngine, default_memory_limit
from journeyflow.erasure import apply
from journeyflow.errors import JourneyflowError
from journeyflow.models import Graph, Phase
from journeyflow.pipeline import run_report
from journeyflow.pipeline.builder import Builder
from journeyflow.pipeline.incremental import IncrementalBuilder, choose_builder, complete_build_state
from journeyflow.pipeline.load_phase import LoadResult, load_sources, register_configuration
from journeyflow.pipeline.run_report import RunReport, facts_of, report_of, write_targets
from journeyflow.publish.generation import publish
from journeyflow.publish.targets import require_postgres, write_audience_lists
from journeyflow.report.html import draw_page
from journeyflow.state.folder import clear_work, project_lock, require_own_state
from journeyflow.state.paths import (
    BUILD,
    SELECTED,
    WAREHOUSE,
    PlanEntry,
    dictionary,
    graph_of,
    open_build,
    plan,
    rule_hashes,
    rules_hash,
    save_graph,
    write_rule_hashes,
)
from journeyflow.state.warehouse import RunRow, begin_run, compact_if_worthwhile, write_run
from journeyflow.utils.formatting import Progress, silent, tell

if TYPE_CHECKING:
    from journeyflow.config import Config


__all__ = ["BUILD", "WAREHOUSE", "PlanEntry", "Run", "RunReport", "open_build", "plan", "run"]


class Run:
    """One run, phase by phase; the command line and the flow call the same methods.

    Entering takes the lock; then call ``load``, ``stitch``, ``classify``, ``build``, ``check``, ``publish``. An error
    marks the run as failed and removes what it built; the last generation stays.

    Parameters
    ----------
    as_of : datetime or None
        High-water mark, naive UTC; None is the latest accepted event.
    memory_limit : str or None
        What the database may use before it spills, e.g. ``"2GB"``; None reads ``JOURNEYFLOW_MEMORY_LIMIT``, else 1 GB.
    threads : int or None
        Threads of the database; None is one for each core.
    full_refresh : bool
        Rebuild every table, though an incremental build would do.
    """

    def __init__(
        self,
        config: Config,
        *,
        as_of: datetime | None = None,
        memory_limit: str | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
        full_refresh: bool = False,
    ) -> None:
        self.config = config
        self.as_of = as_of
        self.progress = progress or silent
        self.phase_seconds: dict[str, float] = {}
        self.generation: Path | None = None
        self.check_count = 0
        self.full_refresh = full_refresh
        self.built = ""
        self.alerts = run_report.Alerts()
        self.empty_maps: tuple[str, ...] = ()
        self.row: RunRow
        self.graph: Graph
        self.work: Path
        self._limits: dict[str, Any] = {"memory_limit": memory_limit or default_memory_limit(), "threads": threads}
        self._resources = ExitStack()
        self._databases = ExitStack()
        self._builder: Builder | None = None
        self._loaded: LoadResult | None = None

    def __enter__(self) -> Run:
        require_own_state(self.config)
        require_postgres(self.config)
        self._resources.enter_context(project_lock(self.config.state))
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
            self._end(is_published=kind is None and self.generation is not None, error=error)
        finally:
            self._resources.close()

    @property
    def run_id(self) -> str:
        """Ids sort by time."""
        return self.row.run_id

    @property
    def builder(self) -> Builder:
        """The builder of this run, once `load` is done."""
        if self._builder is None:
            raise JourneyflowError("The run has not loaded yet; call `load` before the other phases.")
        return self._builder

    @property
    def loaded(self) -> LoadResult:
        """What `load` found."""
        if self._loaded is None:
            raise JourneyflowError("The run has not loaded yet; call `load` before the other phases.")
        return self._loaded

    def load(self) -> None:
        """Load new files into the warehouse and open the build database. InputError when no event is accepted."""
        with self._timed(Phase.LOAD):
            self._loaded = loaded = self._load_sources()
            if not loaded.event_count:
                raise apply.nothing_to_publish(self.config, loaded.why_nothing)
            self.config = loaded.config
            self.row = replace(self.row, high_water_at=loaded.high_water_at, event_count=loaded.event_count)
            tell(self.progress, "loaded", event_count=loaded.event_count, **loaded.counts)
            self._builder = self._new_builder()

    def stitch(self) -> None:
        """Join devices and users into persons."""
        self._build_phase(Phase.STITCH)

    def classify(self) -> None:
        """Put events into stages, sessions, journeys and funnels."""
        self._build_phase(Phase.CLASSIFY)

    def build(self) -> None:
        """Build every other model, the published tables among them."""
        self._build_phase(Phase.BUILD)

    def check(self) -> None:
        """Check every model against its metadata; CheckFailedError lists all failing checks with their counts."""
        with self._timed("check"):
            self.alerts = run_report.find_alerts(self.builder.engine, self.loaded.alerts, self.progress)
            self.empty_maps = tuple(run_report.empty_maps(self.builder.engine).values())
            self.row = replace(self.row, alarm_count=len(self.alerts.messages))
            self.builder.refresh_run_log(self._finished("published"))
            self.check_count = self.builder.check()
            complete_build_state(self.builder, self.config, self.row, self.loaded)
            write_rule_hashes(self.builder.engine, self._rule_hashes)

    def publish(self) -> Path:
        """Publish a generation, the page of the journey maps included, and return its folder. Call `check` before."""
        if not self.check_count:
            raise JourneyflowError("The tables of this run were not checked; call `check` before `publish`.")
        with self._timed("publish"):
            self.builder.refresh_run_log(self._finished("published"))
            facts = facts_of(self.row, self.config.project, self.loaded.high_water_at, self.loaded.event_count)
            models, kept = self.graph.published(), self.config.retention.generations
            self.generation = publish(self.builder.engine, models, self.config.publish, facts, draw_page, kept)
            write_audience_lists(self.builder.engine, self.config)
            write_targets(self.builder.engine, models, self.config, self.generation)
            tell(self.progress, "published", table_count=len(models), event_count=self.loaded.event_count)
        return self.generation

    def execute(self) -> RunReport:
        """Run all phases and return the report."""
        for phase in (self.load, self.stitch, self.classify, self.build, self.check, self.publish):
            phase()
        return self.report()

    def report(self) -> RunReport:
        """Return the report; call it after `publish`."""
        if self.generation is None:
            raise JourneyflowError("The run has not published yet; call `publish` before `report`.")
        return report_of(
            self.generation,
            counts=self.loaded.counts,
            refused_file_count=self.loaded.refused_count,
            phase_seconds=self.phase_seconds,
            check_count=self.check_count,
            built=self.built,
            alerts=self.alerts.sentences,
            empty=self.empty_maps,
        )

    def _load_sources(self) -> LoadResult:
        with self._warehouse() as warehouse:
            return load_sources(self.config, warehouse, self.run_id, self.as_of, self.progress)

    def _begin(self) -> None:
        self.graph = graph_of(self.config)
        save_graph(self.config)
        # Of the configuration as it is written; `load` leaves out a default funnel whose events do not occur.
        self._rule_hashes = rule_hashes(self.config, self.graph)
        clear_work(self.config.state)  # Of runs that were killed: we hold the lock.
        with self._warehouse() as warehouse:
            self.row = begin_run(warehouse, self.config.publish / "generations", rules_hash(self.config, self.graph))
        tell(self.progress, "run_started", run_id=self.run_id)
        self.work = self.config.state / "work" / self.run_id
        self.work.mkdir(parents=True)
        apply.apply_erasure(self.config, self.work, **self._limits)

    def _end(self, *, is_published: bool, error: BaseException | None = None) -> None:
        self._databases.close()  # First: also a run that built nothing holds the warehouse open.
        if is_published and not isinstance(self._builder, IncrementalBuilder):
            place = self.config.state / BUILD
            # A log of an older file beside the new one would make it unopenable.
            place.with_name(f"{BUILD}.wal").unlink(missing_ok=True)
            (self.work / BUILD).replace(place)
        if is_published:
            (self.config.state / SELECTED).unlink(missing_ok=True)  # It was built against an earlier build.
        clear_work(self.config.state)
        row = self._finished("published" if is_published else "failed")
        with self._warehouse() as warehouse:
            why = run_report.failure_of(error) if error else run_report.Alerts()
            (self.alerts if is_published else why).write(warehouse, self.run_id)
            write_run(warehouse, row)
        compact_if_worthwhile(self.config.state / WAREHOUSE, self.work, self.progress)
        tell(self.progress, "run_finished", status=row.status, seconds=row.elapsed_seconds, alarm_count=row.alarm_count)
        apply.finish_erasure(self.config, is_published=is_published)

    def _finished(self, status: str) -> RunRow:
        return self.row.ended(status)

    def _warehouse(self) -> DuckDBEngine:
        from journeyflow.state.warehouse import open_warehouse

        spill = self.config.state / "work" / "spill"
        return open_warehouse(self.config.state / WAREHOUSE, temp_folder=spill, **self._limits)

    def _new_builder(self) -> Builder:
        limits = {"temp_folder": self.work / "spill", **self._limits}
        builder, self.built = choose_builder(
            self.config, self.loaded, self.graph, self.row, self.work / BUILD, limits, full_refresh=self.full_refresh
        )
        self._databases.callback(builder.close)
        register_configuration(builder.engine, self.config, self.loaded, self.run_id)
        builder.engine.register("config.columns", dictionary(self.graph))
        builder.refresh_run_log(self._finished("published"))
        return builder

    def _build_phase(self, phase: Phase) -> None:
        with self._timed(phase), ExitStack() as context:
            if self.builder.runs_kernel:
                from journeyflow.kernel.jit import reporting_compilation

                context.enter_context(reporting_compilation(self.progress))
            self.builder.build(phase, self.progress)

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        started = time.perf_counter()
        tell(self.progress, "phase_started", phase=str(phase))
        try:
            yield
        finally:
            self.phase_seconds[str(phase)] = seconds = round(time.perf_counter() - started, 3)
        tell(self.progress, "phase_finished", phase=str(phase), seconds=seconds)


def run(
    config: Config | str | Path,
    *,
    as_of: datetime | None = None,
    memory_limit: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    full_refresh: bool = False,
) -> RunReport:
    """Run all phases and publish the tables.

    Parameters
    ----------
    config
        A configuration, or the path of a `journeyflow.yml` or of its folder.
    as_of, memory_limit, threads, full_refresh
        See `Run`.

    Raises
    ------
    JourneyflowError
        Whatever failed; the last generation is still served.
    """
    if isinstance(config, str | Path):
        from journeyflow.config import load_config

        config = load_config(config)
    limits: dict[str, Any] = {"memory_limit": memory_limit, "threads": threads, "progress": progress}
    with Run(config, as_of=as_of, full_refresh=full_refresh, **limits) as started:
        return started.execute()
