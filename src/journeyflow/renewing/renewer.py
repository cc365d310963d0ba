"""The models of a night that renews: of people touched beside the last build, then exchanged; all others anew."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from journeyflow import checks
from journeyflow.building import Builder
from journeyflow.errors import CheckFailedError
from journeyflow.kernel.filling import fill_people, refill_properties
from journeyflow.kernel.planning import plan_of
from journeyflow.models import Graph, Model, Phase
from journeyflow.renewing.counting import count_after, count_before
from journeyflow.renewing.exchanging import exchange, put_new, put_whole
from journeyflow.renewing.marks import Mark, write_mark
from journeyflow.renewing.maturing import mature
from journeyflow.renewing.numbering import keep_numbers

if TYPE_CHECKING:
    from datetime import datetime

    from journeyflow.config import Config
    from journeyflow.engines import DuckDBEngine
    from journeyflow.kernel.plan import KernelPlan
    from journeyflow.progress import Progress

KERNEL = "kernel"
EVENTS = "staging.events"
_SUMS = {
    "every event is staged": (
        "select abs(count(*) - (select count(*) from sources.events)) from staging.events"
    ),
    "every event that counts is a person's": (
        "select abs(count(*) - (select count(*) from kernel.events)) from staging.events "
        "where not is_bot and not is_internal"
    ),
    "labels add up to the events": (
        "select abs(coalesce(sum(event_count), 0) - (select count(*) from kernel.events)) "
        "from kernel.labels where model_index = 1"
    ),
}  # fmt: skip
"""What must come out at 0 after rows were exchanged, however they were found."""


class Renewer(Builder):
    """Renews the last build, in the phases of a `Builder`.

    Parameters
    ----------
    base : DuckDBEngine
        The last build, which changes from `begin` on.
    delta : DuckDBEngine
        Beside it, what is built anew; holds `touched.*`, the events of people touched, and the kinds of all events.
    graph, config
        See `Builder`.
    mark : Mark
        Of the last build.
    high_water_at : datetime
        Of this night, naive UTC.

    References
    ----------
    `docs/adr/0028-renewal.md`.
    """

    def __init__(
        self,
        base: DuckDBEngine,
        delta: DuckDBEngine,
        graph: Graph,
        config: Config,
        mark: Mark,
        high_water_at: datetime,
    ) -> None:
        super().__init__(base, graph, config)
        self._delta = Builder(delta, graph, config)
        self._mark = mark
        self._high_water_at = high_water_at
        self._plan: KernelPlan | None = None

    @property
    def story(self) -> str:
        """What was renewed, in a few words."""
        counts = {name: self._delta.engine.count(f"touched.{name}") for name in ("new_events", "gone_events")}
        people = self._delta.engine.count("touched.person_key")
        new = f"{counts['new_events']:,} new events"
        gone = f" and {counts['gone_events']:,} that gave way," if counts["gone_events"] else ""
        return f"renewed what belongs to {new}{gone} and {people:,} people known before"

    def begin(self) -> None:
        """Say that the last build is being changed: should this night die, the next one builds everything anew."""
        write_mark(self.engine, replace(self._mark, is_whole=False))

    def build(self, phase: Phase, progress: Progress) -> None:
        """Build what is renewed of one phase beside the last build; in the last one exchange it and build the rest."""
        models = [model for model in self._graph.of_phase(phase) if model.name in self._beside]
        for done, model in enumerate(models):
            progress(phase, model.name, done, len(models))
            self._build_beside(model)
        if phase == Phase.BUILD:
            self._exchange()
            rest = [model for model in self._graph if self._is_of_all(model)]
            for done, model in enumerate(rest):
                progress(phase, model.name, done, len(rest))
                self.build_model(model)
            progress(phase, "models", len(rest), len(rest))

    def check(self) -> int:
        """Check what was built, rows that were renewed among themselves, and that all of it adds up.

        Returns
        -------
        int
            Checks made.

        Raises
        ------
        CheckFailedError
            Lists failing checks with their counts.
        """
        for demand, query in _SUMS.items():
            if self.engine.rows(query).column(0)[0].as_py():
                raise CheckFailedError(
                    f"Rows were renewed, and now it does not hold that {demand}; nothing was published. The next run "
                    "builds everything anew; please report this."
                )
        models = [model for model in self._graph if model.layer not in ("landed", "ledger")]
        renewed = [model for model in models if model.name in self._renewed]
        rest = [model for model in models if model.name not in self._renewed]
        return len(_SUMS) + checks.require(self._delta.engine, renewed) + checks.require(self.engine, rest)

    @property
    def next_position(self) -> int:
        """Sessions and attempts have numbers below it."""
        return self._mark.next_position + self._delta.engine.count("kernel.events")

    @property
    def byte_count(self) -> int:
        """Size of the file after the last whole build."""
        return self._mark.byte_count

    @cached_property
    def _renewed(self) -> frozenset[str]:
        """Models of which only rows of people touched are made anew.

        Units of a property may be of many people: what follows their attempts is made anew for all.
        """
        found = {model.name for model in self._graph if model.paperwork.renewed_by}
        if self._has_property_units:
            followers = (name for name in found if self._graph[name].paperwork.renewed_by == ("attempt_ix",))
            found -= {name for name in followers if self._graph[name].layer != KERNEL}
        return frozenset(found)

    @cached_property
    def _beside(self) -> frozenset[str]:
        """What is built beside the last build: what is renewed, and the few things that it reads."""
        wanted = self._graph.ancestors(self._renewed)
        built = {"sources.events", EVENTS, "journeys.event_kinds"}
        return frozenset(name for name in wanted if self._graph.phase(name) != Phase.LOAD) - built

    @property
    def _has_property_units(self) -> bool:
        return any(funnel.unit.property is not None for funnel in self._config.funnels.values())

    def _is_of_all(self, model: Model) -> bool:
        """Tell whether a model is built anew from the whole last build.

        Views too: what is a view tonight may have been a table, and side files are not among the rules.
        """
        return (
            model.name not in self._renewed
            and not model.paperwork.keeps_numbers
            and model.paperwork.filled_by != KERNEL
            and self._graph.phase(model.name) != Phase.LOAD
        )

    def _build_beside(self, model: Model) -> None:
        delta = self._delta.engine
        if model.paperwork.filled_by != KERNEL:
            self._delta.build_model(model)
            if model.paperwork.keeps_numbers:
                keep_numbers(self.engine, delta, model)
        elif self._plan is None:
            self._plan = plan_of(delta, self._config)
            fill_people(delta, self._plan, first_position=self._mark.next_position)

    def _exchange(self) -> None:
        base = self.engine
        base.execute("begin transaction")
        count_before(base)
        for model in self._graph:
            if model.paperwork.keeps_numbers:
                put_whole(base, model)
            elif model.name == EVENTS:
                put_new(base, model)
            elif model.name in self._renewed:
                exchange(base, model)
        count_after(base)
        mature(base, self._config, self._high_water_at)
        base.execute("commit")
        if self._has_property_units and self._plan is not None:
            refill_properties(base, self._plan)
