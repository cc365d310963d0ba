"""What an erasure would take out, and the night that takes it out."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from journeyflow import erasures
from journeyflow.engines import DuckDBEngine, default_memory_limit
from journeyflow.erasing import withdraw_of_nobody
from journeyflow.erasures import Erasure
from journeyflow.errors import InputError, NotFoundError
from journeyflow.forgetting.files import Found, Search
from journeyflow.forgetting.ids import Id
from journeyflow.forgetting.people import People, find_people
from journeyflow.ingest import open_warehouse, tombstones
from journeyflow.ingest.hashing import set_hash_keys
from journeyflow.ingest.intake import Intake, intake_of
from journeyflow.ingest.keeping import Kept
from journeyflow.ingest.ledger import Ledger
from journeyflow.ingest.taking_out import find_gone
from journeyflow.ingest.traits import find_erased_traits
from journeyflow.lock import held
from journeyflow.progress import Progress, silent
from journeyflow.project import WAREHOUSE
from journeyflow.runner import Night, RunReport
from journeyflow.secret import person_secret

if TYPE_CHECKING:
    from journeyflow.config import Config


@dataclass(frozen=True)
class Plan:
    """What an erasure would take out, in numbers alone, and the note with which a night does it.

    Attributes
    ----------
    user_count, device_count : int
        Ids of the people that are meant, those included that belong to them.
    unknown_count : int
        Ids given that no event, trait or kept row names.
    event_count, quarantined_count, trait_count : int
        Rows of the warehouse.
    copies, dropped : tuple of Found
        Kept files and the records in them; and those that go whole, because they cannot be written anew.
    inputs : tuple of Found
        Files of the user's own, which stay as they are, and the records in them.
    other_count : int
        Events on the devices given that name other people; they go too.
    is_done_before : bool
        Whether all of them were erased before.
    is_begun : bool
        Whether an erasure was begun and is not done.
    """

    erasure: Erasure
    user_count: int
    device_count: int
    unknown_count: int
    event_count: int
    quarantined_count: int
    trait_count: int
    copies: tuple[Found, ...]
    dropped: tuple[Found, ...]
    inputs: tuple[Found, ...]
    other_count: int
    is_done_before: bool
    is_begun: bool

    @property
    def is_anything(self) -> bool:
        """Whether anything would go."""
        rows = self.event_count + self.quarantined_count + self.trait_count
        return bool(rows or self.copies or self.dropped or self.is_begun)

    @property
    def is_done(self) -> bool:
        """Whether all of them were erased before, and nothing is left to do."""
        return self.is_done_before and not self.is_anything

    def counts(self) -> dict[str, Any]:
        """Return the plan without its note, for programs."""
        whole = asdict(self)
        del whole["erasure"]
        return whole


@dataclass(frozen=True)
class Forgotten:
    """What was done: the plan, and the night that published without it; None where nobody is left to publish of."""

    plan: Plan
    report: RunReport | None


def plan_erasure(
    config: Config, ids: Iterable[Id], progress: Progress | None = None, *, memory_limit: str | None = None
) -> Plan:
    """Find all that is known of some people; nothing is changed.

    Parameters
    ----------
    config : Config
        The project.
    ids : iterable of Id
        As the sources write them.
    progress : Progress or None
        Told how far long work is.
    memory_limit : str or None
        See `runner.Night`.

    Returns
    -------
    Plan

    Raises
    ------
    InputError
        When nothing was ever loaded, or no id is given.
    NotFoundError
        When nothing is known under any of the ids.
    LockedError
        While a run is going on.

    References
    ----------
    `docs/adr/0025-erasure.md`; `docs/reference/semantics.md`, section 2.
    """
    wanted = sorted({each for each in ids if each.value}, key=lambda each: (each.kind, each.value))
    if not wanted:
        raise InputError("No id is given: use --user-id, --anonymous-id or --ids-from.")
    path = config.state / WAREHOUSE
    with held(config.state):
        if not path.exists():
            raise InputError(f"There is no {path}: run `journeyflow run` first.")
        work = config.state / "work" / "forget"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(mode=0o700, parents=True)
        try:
            with open_warehouse(path):  # It may be of an older version.
                pass
            people = find_people(config, wanted, work, progress or silent, memory_limit)
            limit = memory_limit or default_memory_limit()
            with (
                open_warehouse(path, temp_folder=work / "spill", memory_limit=limit) as warehouse,
                intake_of(config, work.name) as intake,
            ):
                return _plan(config, warehouse, intake, people, progress or silent)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _plan(config: Config, warehouse: DuckDBEngine, intake: Intake, people: People, progress: Progress) -> Plan:
    kept = Kept(config.state)
    set_hash_keys(warehouse, person_secret(config))
    before = set(warehouse.rows("select id_hash from ledger.tombstones").column(0).to_pylist())
    tombstones.arm(warehouse, config, kept, people.hashes)
    gone = find_gone(warehouse)
    searched = Search(warehouse, config, (*people.users, *people.devices), progress, intake).whole()
    traits = [Found(*each) for each in find_erased_traits(config, warehouse, intake)]
    erasure = Erasure(
        people.hashes,
        tuple(searched.contents),
        tuple(searched.dropped_contents),
        _readable_again(config, warehouse, searched.again),
        _days(warehouse, config.timezone),
    )
    plan = Plan(
        erasure=erasure,
        user_count=len(people.users),
        device_count=len(people.devices),
        unknown_count=people.unknown_count,
        event_count=gone.event_count,
        quarantined_count=gone.quarantined_count,
        trait_count=gone.trait_count,
        copies=tuple(searched.copies),
        dropped=tuple(searched.dropped),
        inputs=(*searched.inputs, *traits),
        other_count=warehouse.count("landed.events", _OF_OTHERS),
        is_done_before=before.issuperset(people.hashes),
        is_begun=erasures.pending(config.state) is not None,
    )
    if not plan.is_anything and not plan.inputs and not plan.is_done_before:
        raise NotFoundError("Nothing is known under any of these ids. Nothing was erased.")
    return plan


_OF_OTHERS = """
    event_ix in (select event_ix from gone_events) and user_id is not null and not is_erased_user(user_id)
"""


def _readable_again(config: Config, warehouse: DuckDBEngine, sources: Iterable[str]) -> tuple[str, ...]:
    """Leave out sources of which a file is gone: to read them again would end the night."""
    kept = Kept(config.state)
    files = [file for file in Ledger(warehouse, "", 0).files() if file.is_landed and not file.is_empty]
    lost = {
        file.source
        for file in files
        if not kept.path(file.copy_sha256) and not (config.folder / file.source_file).is_file()
    }
    return tuple(sorted(set(sources) - lost))


def _days(warehouse: DuckDBEngine, timezone: str) -> tuple[str, ...]:
    """Return the local days of the events that go, to the minute's zone."""
    zone, utc = ZoneInfo(timezone), ZoneInfo("UTC")
    select = """
        select distinct date_trunc('minute', occurred_at) as minute from landed.events
        where event_ix in (select event_ix from gone_events)
    """
    minutes = warehouse.rows(select).column(0).to_pylist()
    return tuple(sorted({str(each.replace(tzinfo=utc).astimezone(zone).date()) for each in minutes}))


def forget(config: Config, plan: Plan, **limits: Any) -> Forgotten:  # noqa: ANN401 — handed on
    """Erase what a plan tells of, and publish without it.

    Parameters
    ----------
    config : Config
        The project.
    plan : Plan
        From `plan_erasure`.
    **limits
        See `runner.Night`.

    Raises
    ------
    JourneyflowError
        Whatever failed; the next night, or the same command, goes on where this one stopped.
    """
    with held(config.state):
        erasures.begin(config.state, plan.erasure)
    try:
        with Night(config, **limits) as night:
            return Forgotten(plan, night.whole())
    except InputError:
        with held(config.state):
            if erasures.pending(config.state) and not withdraw_of_nobody(config):
                raise
    return Forgotten(plan, None)
