"""Runs of a shop, one a day: files, faults, a run, and what is published compared with hand counts and rebuilds."""

from __future__ import annotations

import random
import signal
import time as wall
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import journeyflow
from external import reconcile
from external.projects import Project
from faults.run_process import kill_after, start_process
from soak import erasure, fault_injection
from soak.clock import clock_at, set_clock, shift_to
from soak.expected_events import ExpectedEvents, miscounted, records
from soak.expected_restatements import Generation, wrong_restatements
from soak.tally import Tally
from support.shop import Event, Shop
from support.shop_project import ShopProject
from support.shop_rules import SWITCHES

if TYPE_CHECKING:
    from journeyflow.pipeline.run_report import RunReport


class Year:
    """A simulated year.

    Parameters
    ----------
    folder : Path
        Empty.
    seed : int
        Equal seeds give equal files; when the kills fall, the machine decides.
    first : date
        The first day.
    shoppers, visits : int, float
        See `Shop`.
    pace : int
        How much more often things happen than in a year; see `fault_injection.happenings`.
    """

    def __init__(
        self, folder: Path, *, seed: int, first: date, shoppers: int = 200, visits: float = 18, pace: int = 1
    ) -> None:
        self.project = ShopProject(folder / "shop")
        self.shop = Shop(seed, shoppers, visits)
        self.rng = random.Random(seed + 1)
        self.first, self.pace = first, pace
        self.number = 0
        self.known: list[Event] = []
        self.late: list[tuple[int, Event]] = []
        self.broken: list[Path] = []
        self.expected = ExpectedEvents()
        self.tally = Tally()
        self._longest = 2.0
        self._was_clock_wrong = False
        self.project.retention = {"sources": {fault_injection.KEPT_INPUT: "60d"}}
        self.project.write_rules()
        self.project.begin()

    @property
    def today(self) -> date:
        """The day that the run covers."""
        return self.first + timedelta(days=self.number)

    @property
    def now(self) -> datetime:
        """The end of the day."""
        return datetime.combine(self.today + timedelta(days=1), time())

    @property
    def is_clock_wrong(self) -> bool:
        """Whether the clock of this run is a day slow: the events of the day seem to be in the future."""
        return self._is(25, 12, busy=8) and self.number > 3

    def put(self, events: list[Event], *, is_packed: bool = False) -> None:
        """Put events into files."""
        self.project.put_events(events, is_packed=is_packed)
        self.sent(events)

    def sent(self, events: list[Event]) -> None:
        """Remember what was sent."""
        self.known += events
        self.tally.note("records sent", len(events))

    def some(self, count: int, *sources: str) -> list[Event]:
        """Return some events that were sent."""
        known = [event for event in self.known if event.source in (sources or ("web", "app", "store", "surveys"))]
        return self.rng.sample(known, min(count, len(known)))

    def day(self) -> None:
        """Simulate a day and its run."""
        fault_injection.today(self)
        for happening in fault_injection.happenings(self.number, self.pace):
            happening(self)
        self.tally.day = self.number + 1
        with clock_at(self._wall_clock()):
            if self._is(9, 4, busy=7) and self.number > 2:
                self.tally.note("runs missed")
            else:
                self._run()
        self.number += 1

    def compare(self) -> None:
        """Compare with a rebuild by the program, and with a project that reads all files in one run."""
        with clock_at(self._wall_clock() + timedelta(hours=3)):
            self._published(lambda: self.project.run())
            self.tally.note("rows compared by verify", self.project.verify().row_count)
            inputs = {name: erasure.without(name, each, self.expected) for name, each in self.project.read.items()}
            found = self.project.compared(inputs=inputs)
        self.tally.note("rows compared with a project made afresh", found.row_count)
        self.tally.note("judgements")
        self.tally.add_differences(found.differences)
        reconcile.assert_reconciles(Project(self.project.folder))

    def _run(self) -> None:
        if self._was_clock_wrong and not self.is_clock_wrong:
            self.project.replay("future")
            self.tally.note("replays of what a slow clock took for future")
        self._was_clock_wrong = self.is_clock_wrong
        if self._is(6, 3, busy=5):
            self._killed()
        if self._is(10, 7, busy=6) and self.number > 4:
            back = timedelta(days=self.rng.randint(1, 4))
            self._published(lambda: self.project.run(self.now - back))
            self.tally.note("runs as of an earlier day")
        started = wall.monotonic()
        self._published(lambda: self.project.run())
        self._longest = wall.monotonic() - started
        self.tally.note("runs")
        if self._is(40, 6, busy=6) and self.number > 2:
            self._published(lambda: erasure.erase(self))

    def _published(self, work: Any) -> RunReport | None:
        """Do what publishes, and see that the new generation says rightly what it moved and what it holds."""
        published = self.project.folder / "published"
        before = Generation.current(published)
        copies = len(list((self.project.folder / "state" / "raw").glob("*")))
        report: RunReport | None = work()
        if report:
            self.tally.note(f"generations: {_build_kind(report.built)}")
        self.project.note()
        self._see(before)
        gone = copies - len(list((self.project.folder / "state" / "raw").glob("*")))
        self.tally.note("copies whose time was over", max(0, gone))
        return report

    def _see(self, before: Generation | None) -> None:
        published = self.project.folder / "published"
        now = Generation.current(published)
        if now is None or (before and now.run_id == before.run_id):
            return
        zone = SWITCHES["zone"][self.project.settings.get("zone", 0)]
        once = set(self.project.config.funnels) - {"settled"}
        spell = f"{before.run_id} to {now.run_id}" if before else now.run_id
        self.tally.add_differences(
            [f"{spell}: {text}" for text in wrong_restatements(published, before, now, zone, once)]
        )
        self.tally.add_differences(
            miscounted(self.project.folder / "state", now.run_id, self.project.read, self.expected)
        )
        with journeyflow.open(published) as tables:
            reconcile.every_row_is_accounted_for(tables.table("load_audit"))
            moved = tables.table("restatements")
        self.tally.note("figures restated", int((moved["run_id"] == now.run_id).sum()))

    def _killed(self) -> None:
        """Start a run in a separate process and kill it at some moment."""
        before = Generation.current(self.project.folder / "published")
        process = start_process(_doomed, str(self.project.path), shift_to(self._wall_clock()))
        code = kill_after(process, self.rng.uniform(0.1, 1.3 * self._longest))
        died = code == -signal.SIGKILL
        assert died or code == 0, f"the run ended with {code}"
        self.tally.note("kills survived" if died else "runs too fast for their kill")
        self.project.note()
        self._see(before)

    def _is(self, every: int, offset: int, busy: int) -> bool:
        """Tell whether it is the day: one of `every`, or one of `busy` where things happen fast."""
        return (self.number + offset) % (every if self.pace == 1 else busy) == 0

    def _wall_clock(self) -> datetime:
        """Return when the run starts: after midnight, now and then by a clock that is a day slow."""
        return self.now + (timedelta(days=-1) if self.is_clock_wrong else timedelta(hours=2, minutes=17))

    def files_and_records(self) -> tuple[int, int]:
        """Count the contents that were met, and the records that could be read."""
        contents = [(name.partition("-")[0], each) for name, each in self.project.read.items()]
        return len(contents), sum(len(records(source, each)) for source, each in contents)


def _build_kind(built: str) -> str:
    return "incremental" if built.startswith("incremental") else built


def _doomed(path: str, shift: timedelta) -> None:
    from journeyflow.config import load_config
    from journeyflow.pipeline import run
    from journeyflow.state import warehouse  # noqa: F401 — they must be imported before the clock is set

    set_clock(shift)
    run.run(load_config(Path(path)))
