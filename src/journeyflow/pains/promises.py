"""Broken promises: what followed the breach, against what followed kept promises of persons alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from journeyflow.pains.exposures import WITHDRAWALS, Candidate, estimate
from journeyflow.pains.places import NEVER, Finding, Place, Prognosis, e_value
from journeyflow.pains.stream import Bools, Ints, Stream

if TYPE_CHECKING:
    from journeyflow.engines import Engine

LEVEL = 0.025
"""Chance of a false alarm allowed to all promises, each tested for what they cost and for how people feel."""
HIT_MOST = 0.6
"""A persona with such a share of the broken promises, and twice the rate of the others, is named."""
FEWEST_ANSWERS = 10
UNSEEN_SPREAD = 0.2

_DUES = """
    select
        outcomes.promise_index, outcomes.person_key, epoch_us(outcomes.due_at) as due_us,
        outcomes.outcome = 'broken' as is_broken,
        case when promises.kind = 'timed' then promises.within_us else 0 end as within_us,
        epoch_us(outcomes.kept_at) as kept_us
    from map.promise_outcomes as outcomes
    inner join config.promises as promises on promises.promise_index = outcomes.promise_index
    where outcomes.is_matured and outcomes.outcome <> 'pending'
    order by outcomes.promise_index, outcomes.person_key, outcomes.due_at, is_broken desc
"""
_ANSWERS = """
    select
        answers.person_key, epoch_us(answers.answered_at) as answered_us,
        cast(stages.sentiment as double) as sentiment
    from map.survey_answers as answers
    inner join map.answer_stages as stages
        on stages.event_ix = answers.event_ix and stages.survey_index = answers.survey_index
    where stages.sentiment is not null and stages.model_index = (select min(model_index) from config.models)
    order by answers.person_key, answers.answered_at, sentiment
"""


def broken_promises(engine: Engine, stream: Stream, min_count: int) -> Iterator[Finding]:
    """Yield what each promise cost where it was broken, for everybody or for the persona that it hits most."""
    promises = engine.rows(
        "select promise, promise_index, model_index, stage_index from config.promises order by promise_index"
    ).to_pylist()
    of_stream = pl.col("person_key").is_in(pl.Series(stream.person_keys).implode())
    dues = pl.DataFrame(engine.rows(_DUES)).filter(of_stream)
    answers = pl.DataFrame(engine.rows(_ANSWERS)).filter(of_stream)
    for promise in promises:
        made = _Dues(stream, dues.filter(pl.col("promise_index") == promise["promise_index"]))
        if made.is_broken.sum() < min_count or (~made.is_broken).sum() < min_count:
            continue
        for name, chosen in made.groups():
            finding = _finding(stream, made, chosen, promise, name, answers, len(promises), min_count)
            if finding is not None:
                yield finding


class _Dues:
    """The promises of one kind that were kept or broken, by the event of the stream that made them due."""

    def __init__(self, stream: Stream, rows: pl.DataFrame) -> None:
        events = pl.DataFrame({"person": stream.person, "due_us": stream.at, "row": np.arange(len(stream))})
        persons = np.searchsorted(stream.person_keys, rows["person_key"].to_numpy())
        found = (
            rows.with_columns(person=pl.Series(persons, dtype=pl.Int64))
            # Of promises of one instant the first counts; each with each event of it would be the square of them.
            .unique(["person", "due_us"], keep="first", maintain_order=True)
            .join(events, on=["person", "due_us"], how="inner", maintain_order="left")
            .unique("row", keep="first", maintain_order=True)
            .sort("row")
        )
        self.rows = found["row"].to_numpy()
        self.is_broken = found["is_broken"].to_numpy()
        # What followed the breach, or the keeping: whoever was served early may go on before the time is up.
        known_at = found.select(pl.min_horizontal(pl.col("due_us") + pl.col("within_us"), "kept_us"))
        self.known_at = known_at.to_series().to_numpy()
        self.person = found["person"].to_numpy()
        self.persona = stream.personas.codes[stream.journey[self.rows]]
        self.personas = stream.personas.names

    def groups(self) -> list[tuple[str | None, Bools]]:
        """Return everybody, or the persona that is hit most and the others."""
        everybody = np.ones(len(self.rows), np.bool_)
        broken = np.bincount(self.persona[self.is_broken], minlength=len(self.personas))
        most = int(broken.argmax())
        inside = self.persona == most
        if broken[most] < HIT_MOST * broken.sum() or inside.all():
            return [(None, everybody)]
        if self.is_broken[inside].mean() < 2 * self.is_broken[~inside].mean():
            return [(None, everybody)]
        return [(self.personas[most], inside), (f"all but {self.personas[most]}", ~inside)]

    def wait_for(self, stream: Stream, is_wanted: Bools) -> Ints:
        """Return the time from each breach or keeping to the next wanted event; the largest integer where none came."""
        wanted = np.flatnonzero(is_wanted)
        order = np.argsort(self.known_at, kind="stable")
        left = pl.DataFrame({"person": self.person[order], "at": self.known_at[order] + 1, "position": order}).sort(
            "at"
        )
        right = pl.DataFrame(
            {"person": stream.person[wanted], "at": stream.at[wanted], "next": stream.at[wanted]}
        ).sort("at", maintain_order=True)
        joined = left.join_asof(right, on="at", by="person", strategy="forward", check_sortedness=False).sort(
            "position"
        )
        following = joined["next"].fill_null(NEVER).to_numpy()
        return np.where(following == NEVER, NEVER, following - self.known_at)


def _finding(
    stream: Stream,
    made: _Dues,
    chosen: Bools,
    promise: dict[str, object],
    persona: str | None,
    answers: pl.DataFrame,
    promise_count: int,
    min_count: int,
) -> Finding | None:
    if made.is_broken[chosen].sum() < min_count or (~made.is_broken[chosen]).sum() < min_count:
        return None
    kinds = stream.kinds
    is_goal = kinds["is_goal"].to_numpy()[stream.kind]
    history = int(stream.at.max() - stream.at.min())
    horizon = min(stream.window, max(history // 3, 1))
    if not is_goal.any():
        is_goal = ~kinds["is_passive"].to_numpy()[stream.kind]
    beyond = made.wait_for(stream, is_goal)
    place = Place(
        model_index=int(str(promise["model_index"])),
        stage_index=int(str(promise["stage_index"])),
        rows=made.rows[chosen],
        is_first=np.ones(int(chosen.sum()), np.bool_),
        is_past=np.zeros(int(chosen.sum()), np.bool_),
        visit=np.arange(int(chosen.sum())),
        beyond_us=beyond[chosen],
        horizon=horizon,
        settled_until=stream.high_water - horizon,
        at=made.known_at[chosen],
        level_of_kind=np.zeros(len(kinds), np.int64),
        level=np.zeros(len(stream), np.int64),
    )
    broken = made.is_broken[chosen]
    candidate = Candidate(
        str(promise["promise"]), "promise", np.flatnonzero(broken & place.is_settled),
        np.flatnonzero(~broken & place.is_settled), np.zeros(len(broken), np.int64),
    )  # fmt: skip
    prognosis = Prognosis(stream, place, fit_on=~broken)
    found = estimate(stream, place, prognosis, np.full(len(broken), np.nan), candidate, min_count)
    if found is None:
        return None
    found = replace(found, kind="promise", slice=None if persona is None else f"persona={persona}")
    found = replace(
        found,
        refund_count=_more_refunds(stream, made, chosen, found, horizon),
        sentiment_effect=None,
    )
    effect, error = _mood(stream, made, chosen, answers, horizon)
    if effect is not None and error is not None:
        found = replace(found, sentiment_effect=effect)
    return _graded(found, effect, error, promise_count)


def _graded(found: Finding, mood: float | None, mood_error: float | None, promise_count: int) -> Finding:
    from scipy.special import ndtr

    spread = np.sqrt(found.effect_error**2 + UNSEEN_SPREAD**2)
    tests = 2 * promise_count
    cost = min(1.0, float(ndtr((found.effect - min(found.shift, 0.0)) / spread)) * tests)
    feeling = 1.0 if mood is None or not mood_error else min(1.0, float(ndtr(mood / mood_error)) * tests)
    expected = float(np.clip(found.expected.mean(), 1e-4, 1 - 1e-4))
    odds = expected / (1 - expected) * np.exp(min(found.effect + 1.96 * spread, 0.0))
    is_sure = min(cost, feeling) <= LEVEL
    error = float(np.hypot(found.standard_error, UNSEEN_SPREAD * expected * (1 - expected)))
    found = replace(found, standard_error=error)
    if cost > LEVEL:
        # No order is known to be lost; what is known is how people feel.
        found = replace(found, expected=found.went_on.astype(np.float64), standard_error=0.0)
    return found.graded(
        "matched" if is_sure else "association", min(cost, feeling), e_value(odds / (1 + odds), expected)
    )


def _more_refunds(stream: Stream, made: _Dues, chosen: Bools, found: Finding, horizon: int) -> float | None:
    codes = [code for code, name in enumerate(stream.names.names) if name in WITHDRAWALS - {"remove_from_cart"}]
    is_refund = np.isin(stream.names.codes, codes)
    if not is_refund.any():
        return None
    came = made.wait_for(stream, is_refund)[chosen] <= horizon
    settled = made.known_at[chosen] <= stream.high_water - horizon
    broken = made.is_broken[chosen]
    met, others = came[broken & settled], came[~broken & settled]
    if not len(met) or not len(others):
        return None
    excess = float(met.mean() - others.mean())
    error = np.sqrt(met.mean() * (1 - met.mean()) / len(met) + others.mean() * (1 - others.mean()) / len(others))
    return len(found.rows) * excess if excess > 1.96 * error else 0.0


def _mood(
    stream: Stream, made: _Dues, chosen: Bools, answers: pl.DataFrame, horizon: int
) -> tuple[float | None, float | None]:
    """Return the mean sentiment of answers within the horizon after broken less that after kept, and its error."""
    if not len(answers):
        return None, None
    person = np.searchsorted(stream.person_keys, answers["person_key"].to_numpy())
    given = pl.DataFrame({"person": person, "at": answers["answered_us"], "sentiment": answers["sentiment"]}).sort(
        "at", maintain_order=True
    )
    due = pl.DataFrame(
        {
            "person": made.person[chosen],
            # Before that nobody knows how it will end.
            "at": made.known_at[chosen],
            "is_broken": made.is_broken[chosen],
            "due": made.known_at[chosen],
        }
    ).sort("at", maintain_order=True)
    joined = given.join_asof(due, on="at", by="person", strategy="backward", check_sortedness=False).drop_nulls()
    joined = joined.filter(pl.col("at") - pl.col("due") <= horizon)
    after = [joined.filter(pl.col("is_broken") == which)["sentiment"].to_numpy() for which in (True, False)]
    if min(map(len, after)) < FEWEST_ANSWERS:
        return None, None
    error = np.sqrt(sum(values.var(ddof=1) / len(values) for values in after))
    return float(after[0].mean() - after[1].mean()), float(max(error, 1e-3))
