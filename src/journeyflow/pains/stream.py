"""The events of a build as arrays, in the order of persons and time, with what is known of a person at each event."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

if TYPE_CHECKING:
    from journeyflow.engines import Engine

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]

DAY_US = 86_400_000_000
MOSTLY_TIED = 0.5
"""Where more events share the instant of the one before, times have no clock."""
MOST_EVENTS = 1_000_000
"""Above so many events the search reads one person in n, so that its memory and time have a bound; its counts are then
estimates, n times those of the persons read."""


@dataclass(frozen=True)
class Labels:
    """A text per event or journey as a code; code 0 stands for "not known"."""

    codes: Codes
    names: tuple[str | None, ...]

    @classmethod
    def of(cls, values: pl.Series) -> Labels:
        """Number the distinct texts in the order of the alphabet."""
        names = sorted(values.drop_nulls().unique().to_list())
        codes = values.replace_strict(names, list(range(1, len(names) + 1)), default=0, return_dtype=pl.Int32)
        return cls(codes.to_numpy(), (None, *names))


@dataclass(frozen=True)
class Stream:
    """Events of a build, ordered by person, time, the source's sequence and name; one entry per event unless noted.

    Attributes
    ----------
    person, journey : numpy.ndarray of int64
        Dense numbers from 0 in the order of the events.
    at : numpy.ndarray of int64
        Microseconds since the epoch, UTC.
    session : numpy.ndarray of int64
        -1 for events of offline channels.
    kind : numpy.ndarray of int64
        Row of `kinds` (name, channel, touchpoint and what the configuration says of them).
    slices : dict of str to Labels
        Latest value known of the person at the event, by the name of the slice.
    person_keys : numpy.ndarray of uint64
        Key of each person.
    journey_starts : numpy.ndarray of int64
        First event of each journey, and one past the last event.
    facts : polars.DataFrame
        One row per journey: `persona`, `month` and `medium` of its entry.
    """

    person: Ints
    journey: Ints
    at: Ints
    session: Ints
    kind: Ints
    slices: dict[str, Labels]
    person_keys: npt.NDArray[np.uint64]
    journey_starts: Ints
    facts: pl.DataFrame
    kinds: pl.DataFrame
    high_water: int
    window: int
    day_starts: Ints
    first_day: int
    persons_each: int = 1
    """Persons that each person stands for: 1, or n where the stream holds one in n."""

    def __len__(self) -> int:
        return len(self.at)

    @cached_property
    def day(self) -> Ints:
        """Local day of each event in the project's zone, as days since 1970."""
        return self.first_day + np.searchsorted(self.day_starts, self.at, side="right") - 1

    @cached_property
    def names(self) -> Labels:
        """Name of each event."""
        return self._of_kind("event_name")

    @cached_property
    def channels(self) -> Labels:
        """Channel of each event."""
        return self._of_kind("channel")

    @cached_property
    def touchpoints(self) -> Labels:
        """Touchpoint of each event."""
        return self._of_kind("touchpoint")

    @cached_property
    def personas(self) -> Labels:
        """Persona of each journey."""
        return Labels.of(self.facts["persona"])

    @cached_property
    def media(self) -> Labels:
        """Source medium at the entry of each journey."""
        return Labels.of(self.facts["medium"])

    @cached_property
    def weekday(self) -> Codes:
        """Weekday of each event as a number from 0."""
        return (self.day % 7).astype(np.int32)

    @cached_property
    def start(self) -> Codes:
        """First event of the journey of each event."""
        return self.journey_starts[self.journey].astype(np.int32)

    @cached_property
    def logged_time(self) -> Floats:
        """Logarithm of the time since the journey began, at each event."""
        logged: Floats = np.log1p(self.at - self.at[self.start])
        return logged

    @cached_property
    def came_before(self) -> Bools:
        """Whether the journey of each event is a later one of its person."""
        later: Bools = (self.start > 0) & (self.person[self.start - 1] == self.person)
        return later

    @cached_property
    def sessions_so_far(self) -> Codes:
        """Sessions of the journey that began after its first event, up to each event and with it."""
        # Offline events, and sessions of another device, come in between.
        sessions, firsts = np.unique(self.session, return_index=True)
        is_new = np.zeros(len(self), np.bool_)
        is_new[firsts[sessions >= 0]] = True
        begun = np.cumsum(is_new, dtype=np.int32)
        return begun - begun[self.start]

    @cached_property
    def to_goal_us(self) -> Ints:
        """Microseconds from each event to the next goal of its person; the largest integer where none follows."""
        never = np.iinfo(np.int64).max
        goals = np.flatnonzero(self.kinds["is_goal"].to_numpy()[self.kind])
        following = np.searchsorted(goals, np.arange(len(self)), side="right")
        is_same = following < len(goals)
        following = goals[following[is_same]]
        until = np.full(len(self), never)
        until[is_same] = np.where(
            self.person[following] == self.person[is_same], self.at[following] - self.at[is_same], never
        )
        return until

    @cached_property
    def _seen(self) -> dict[int, Codes]:
        return {}

    def seen_so_far(self, name: int) -> Codes:
        """Events of a name (its code) in the journey, up to each event and with it."""
        if name not in self._seen:
            is_it = self.names.codes == name
            seen = np.cumsum(is_it, dtype=np.int32)
            self._seen[name] = seen - (seen - is_it)[self.start]
        return self._seen[name]

    @cached_property
    def name_counts(self) -> Ints:
        """How often each name, by its code, occurs."""
        return np.bincount(self.names.codes, minlength=len(self.names.names))

    def person_count(self, rows: Ints) -> int:
        """Return how many persons have an event among `rows`."""
        return int(np.count_nonzero(np.bincount(self.person[rows], minlength=1)))

    def _of_kind(self, column: str) -> Labels:
        labels = Labels.of(self.kinds[column])
        return Labels(labels.codes[self.kind], labels.names)


_KINDS = """
    select
        codes.classification_key, types.event_name, types.channel, types.touchpoint,
        coalesce(goals.is_goal, false) as is_goal, frictions.frictions,
        coalesce(passive.is_passive, false) as is_passive,
        codes.stage_index
    from (
        select
            classification_key, event_type_ix,
            max(case when model_index = (select min(model_index) from config.models) then stage_index end)
                as stage_index
        from kernel.classifications
        group by classification_key, event_type_ix
    ) as codes
    inner join journeys.event_types as types on types.event_type_ix = codes.event_type_ix
    left join (
        select predicates.event_type_ix, true as is_goal
        from config.event_type_predicates as predicates
        inner join config.goals on predicates.predicate = concat('goal/', goals.goal) and goals.goal_index = 1
        where predicates.is_true
        group by predicates.event_type_ix
    ) as goals on goals.event_type_ix = codes.event_type_ix
    left join (
        select event_type_ix, string_agg(substr(predicate, 10), chr(10) order by predicate) as frictions
        from config.event_type_predicates
        where is_true and predicate like 'friction/%'
        group by event_type_ix
    ) as frictions on frictions.event_type_ix = codes.event_type_ix
    left join (select distinct event_name, true as is_passive from config.passive_events) as passive
        on passive.event_name = types.event_name
"""


def read_stream(engine: Engine) -> Stream:
    """Read the events that count, whole persons, in an order that no arrival of files changes.

    Events that tie are in the order of the first model's stages, those of no stage first and goals last: else the names
    of events would say who came back. How far a person had come at an event without a stage is not known then.
    Persons are chosen by their keys, which are hashes: the same ones in every run over data of about this size.
    """
    count = engine.rows("select count(*) as count from kernel.events").column("count")[0].as_py()
    persons_each = max(-(-count // MOST_EVENTS), 1)
    columns = engine.columns("staging.events")
    slices = engine.rows("select slice, slice_index from config.slices order by slice_index").to_pylist()
    reading = "".join(
        f", staging.slice_{row['slice_index']}" for row in slices if f"slice_{row['slice_index']}" in columns
    )
    events = pl.DataFrame(
        engine.rows(f"""
            select
                events.person_key, events.journey_index, coalesce(events.session_ix, -1) as session_ix,
                events.classification_key, epoch_us(staging.occurred_at) as at{reading}
            from kernel.events as events
            inner join staging.events as staging on staging.event_ix = events.event_ix
            inner join ({_KINDS}) as kinds on kinds.classification_key = events.classification_key
            where events.person_key % {persons_each} = 0
            order by
                events.person_key, staging.occurred_at, staging.sequence nulls last, kinds.stage_index nulls first,
                kinds.is_goal, kinds.event_name, kinds.touchpoint, staging.event_id, staging.source_ix
        """)
    )
    kinds = pl.DataFrame(engine.rows(f"{_KINDS} order by codes.classification_key")).drop("stage_index")
    settings = engine.rows("select epoch_us(high_water_at) as high_water, journeys_window_us from config.settings")
    days = pl.DataFrame(
        engine.rows(
            "select epoch_us(start_at) as start_us, day - date '1970-01-01' as day from config.days order by day"
        )
    )
    person_keys = events["person_key"].to_numpy()
    starts_person = changes(person_keys)
    person = np.cumsum(starts_person) - 1
    starts_journey = starts_person | changes(events["journey_index"].to_numpy())
    first = np.flatnonzero(starts_journey)
    at = events["at"].to_numpy()
    return Stream(
        person=person,
        journey=np.cumsum(starts_journey) - 1,
        at=at,
        session=events["session_ix"].to_numpy(),
        kind=np.searchsorted(kinds["classification_key"].to_numpy(), events["classification_key"].to_numpy()),
        slices={
            row["slice"]: _known_so_far(Labels.of(events[f"slice_{row['slice_index']}"]), person, at)
            for row in slices
            if f"slice_{row['slice_index']}" in columns
        },
        person_keys=person_keys[starts_person],
        journey_starts=np.append(first, len(events)),
        facts=_facts(engine, persons_each),
        kinds=kinds,
        high_water=settings.column("high_water")[0].as_py(),
        window=settings.column("journeys_window_us")[0].as_py(),
        day_starts=days["start_us"].to_numpy(),
        first_day=int(days["day"][0]) if len(days) else 0,
        persons_each=persons_each,
    )


def _facts(engine: Engine, persons_each: int) -> pl.DataFrame:
    return pl.DataFrame(
        engine.rows(f"""
            select facts.persona, days.month, entries.utm_medium as medium
            from journeys.journey_facts as facts
            inner join kernel.journeys as journeys
                on journeys.person_key = facts.person_key and journeys.journey_index = facts.journey_index
            inner join config.days on days.start_at <= journeys.entered_at and journeys.entered_at < days.end_at
            left join sources.events as entries on entries.event_ix = journeys.first_event_ix
            where facts.person_key % {persons_each} = 0
            order by facts.person_key, facts.journey_index
        """)
    )


def changes(values: npt.NDArray[np.generic]) -> Bools:
    """Return where a value differs from the one before it; the first always does."""
    differs = np.ones(len(values), np.bool_)
    differs[1:] = values[1:] != values[:-1]
    return differs


def _known_so_far(labels: Labels, person: Ints, at: Ints) -> Labels:
    """Carry the latest known value of a person forward to its later events; nothing is carried back.

    Without a clock the order within a day is not known: only what was known before the day is carried into it.
    """
    number = np.arange(len(person))
    known = np.maximum.accumulate(np.where(labels.codes > 0, number, -1))
    is_new = changes(person) | changes(at)
    if len(person) and (~is_new).mean() > MOSTLY_TIED:
        before = np.append(-1, known)[np.maximum.accumulate(np.where(is_new, number, 0))]
        known = np.where(labels.codes > 0, number, before)
    same = (known >= 0) & (person[known] == person)
    return Labels(np.where(same, labels.codes[known], 0).astype(np.int32), labels.names)
