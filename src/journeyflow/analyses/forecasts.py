"""What units that are pending will do, and what came of earlier forecasts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from journeyflow.errors import NotFoundError
from journeyflow.models.model import python_model
from journeyflow.publish.reader import read_manifest
from journeyflow.statistics.proportions import ALPHA, Floats, Ints

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.engines import Engine


SLOTS = 64
"""Number of ages; `analyses.pending_cells` numbers them."""
MOMENTS = 8
"""Earlier moments whose forecasts are repeated, to see how far what comes differs from time to time."""
USUAL_SPREAD = 0.3
"""Relative difference from time to time, of what is forecast at first."""
UNKNOWN_SPREAD = 0.66
"""The same where most that is known are units of the first window: the usual one as two moments tell it (Student)."""
KINDS = ("early", "past", "now", "moment")
LEAST_UNITS = 100
"""Earlier units of a persona that forecast it by themselves; with fewer all are taken."""
MOST_ROWS = 20_000
"""Forecasts kept whose outcome is known, the newest; all that are not due yet are kept."""
_TAILS = (ALPHA / 2, 1 - ALPHA / 2)
_DAY = timedelta(days=1)
_TABLE = "forecast_scores"
FUNNELS = """
    select funnels.funnel_index, funnels.funnel, funnels.step_count, funnels.window_us, settings.high_water_at
    from config.funnels cross join config.settings
    order by funnels.funnel_index
"""
_CELLS = """
    select cells.kind, cells.funnel_index, cells.persona, cells.step_index,
        coalesce(epoch_us(cells.origin_at), 0) as origin_at, cells.first_slot,
        coalesce(cells.last_slot, 0) as last_slot, cells.unit_count,
        case when cells.is_converted then cells.unit_count else 0 end as converted_count
    from analyses.pending_cells as cells
    left join analyses.forecast_origins as origins
        on origins.funnel_index = cells.funnel_index and origins.origin_at = cells.origin_at
    where cells.kind <> 'moment' or origins.is_usual
"""
_MOMENTS = """
    select funnel_index, origin_at as forecast_at, persona, step_index, is_converted, unit_count
    from analyses.pending_cells
    where kind = 'moment'
"""
_PERSONAS = """
    select funnel_index, persona from funnels.funnel_step_counts
    where period = 'all' and step_index = 1 order by funnel_index, persona
"""
_MADE = """
    select funnel_index, persona, step_index, pending_count, expected_count, low, high
    from analyses.pending_forecast
    where expected_count is not null and pending_count > 0
"""
_KEYS = ["funnel", "persona", "step_index"]
_FORECASTS = {
    "funnel_index": pl.Int32,
    "persona": pl.String,
    "step_index": pl.Int32,
    "pending_count": pl.Int64,
    "expected_count": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}
_SCORES: Any = {
    "funnel": pl.String,
    "persona": pl.String,
    "step_index": pl.Int32,
    "forecast_at": pl.Datetime("us"),
    "due_at": pl.Datetime("us"),
    "pending_count": pl.Int64,
    "expected_count": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "settled_count": pl.Int64,
    "converted_count": pl.Int64,
}


@python_model("analyses.forecast_origins")
def forecast_origins(engine: Engine, config: Config) -> pa.Table:
    """Return the earlier moments of each funnel at which it is looked who was pending: all windows since are over.

    They are those whose forecasts are due now, and `MOMENTS` more, a window or at least a day apart and at the time of
    day of the high-water mark.
    """
    funnels = engine.rows(FUNNELS).to_pylist()
    due: dict[str, set[datetime]] = {}
    if funnels:
        for row in _published_scores(config).filter(_is_due(funnels[0]["high_water_at"])).iter_rows(named=True):
            due.setdefault(row["funnel"], set()).add(row["forecast_at"])
    return moments_of(funnels, due)


def moments_of(funnels: list[dict[str, Any]], due: dict[str, set[datetime]]) -> pa.Table:
    """Return the rows of `analyses.forecast_origins`; `due` are the moments of forecasts by funnel."""
    rows = []
    for funnel in funnels:
        window, high_water_at = timedelta(microseconds=funnel["window_us"]), funnel["high_water_at"]
        apart = max(_DAY, -(-window // _DAY) * _DAY)
        usual = {high_water_at - window - number * apart for number in range(MOMENTS)}
        rows += [
            {"funnel_index": funnel["funnel_index"], "origin_at": at, "is_usual": at in usual}
            for at in sorted(usual | due.get(funnel["funnel"], set()))
        ]
    types = {"funnel_index": pa.int32(), "origin_at": pa.timestamp("us"), "is_usual": pa.bool_()}
    return pa.Table.from_pylist(rows, schema=pa.schema(list(types.items())))


@dataclass(frozen=True)
class Landmarks:
    """Earlier units of a step that were there at each age (`units`), and those of them that converted later."""

    units: Floats
    converted: Floats

    def rates(self, added: float = 0.0) -> Floats:
        """Return the share that converted later, by age, with so many units `added` to both outcomes.

        Where nobody was, it is that of the nearest age; NaN where nobody ever was.
        """
        with np.errstate(invalid="ignore"):
            return self._of_nearest((self.converted + added) / (self.units + 2 * added))

    def deviations(self) -> Floats:
        """Return the standard deviation of each rate, half a unit added to both outcomes: none is certain."""
        smooth = self.rates(0.5)
        return np.sqrt(smooth * (1 - smooth) / self._of_nearest(self.units + 1))

    def _of_nearest(self, values: Floats) -> Floats:
        known = np.flatnonzero(self.units)
        if not len(known):
            return np.full(SLOTS, np.nan)
        nearest = np.abs(np.arange(SLOTS)[:, None] - known).argmin(axis=1)
        found: Floats = values[known[nearest]]
        return found


class Cells(NamedTuple):
    """Rows of `analyses.pending_cells` of one kind as arrays; `persona` is a position."""

    persona: Ints
    step_index: Ints
    origin_at: Ints
    first_slot: Ints
    last_slot: Ints
    unit_count: Ints
    converted_count: Ints

    def those(self, is_chosen: npt.NDArray[np.bool_]) -> Cells:
        """Return some of the rows."""
        return Cells(*(column[is_chosen] for column in self))


def count_landmarks(past: Cells, personas: int, steps: int) -> tuple[Floats, Floats]:
    """Return how many units were at each step at each age, and how many of them converted, by persona, step and age."""
    counts = np.zeros((2, personas, steps, SLOTS + 1))
    for into, weight in zip(counts, (past.unit_count, past.converted_count), strict=True):
        np.add.at(into, (past.persona, past.step_index - 1, past.first_slot), weight)
        np.subtract.at(into, (past.persona, past.step_index - 1, past.last_slot), weight)
    units, converted = np.cumsum(counts, axis=-1)[..., :SLOTS]
    return units, converted


@dataclass(frozen=True)
class Forecast:
    """Expected conversions of `count` units, and the mean and variances that the interval is of."""

    count: float
    expected: float
    mean: float
    by_chance: float
    of_rates: float

    def interval(self, spread: float) -> tuple[int, int] | None:
        """Return the 95 % interval of the conversions; `spread` is the relative variance from time to time.

        It is that of a beta distribution with the mean and variance of the share, its ends rounded outwards to whole
        units.
        """
        if np.isnan(self.expected):
            return None
        if not self.count:
            return 0, 0
        from scipy.special import betaincinv

        share = self.mean / self.count
        variance = (self.by_chance + self.of_rates + spread * self.mean**2) / self.count**2
        # No share of this mean varies more than one that is 0 or 1.
        strength = max(share * (1 - share) / variance - 1, 1e-3)
        low, high = betaincinv(share * strength, (1 - share) * strength, np.array(_TAILS)) * self.count
        return int(min(low, self.expected)), min(int(np.ceil(max(high, self.expected))), int(self.count))


def forecast(ages: Floats, landmarks: Landmarks) -> Forecast:
    """Return what units at these ages (their number by slot) will do, if they do as the earlier ones did.

    A unit of age a that has not converted does so later with the chance (F(w) - F(a)) / (1 - F(a)), where F is the
    distribution of the time to the last step of those who were at the step at that age, and w the window. Only units
    whose window is over are counted, none of them censored: Kaplan and Meier's estimate of F is the share that
    converted, and the chance is that of those still there at age a who converted later.
    """
    if not ages.any():
        return Forecast(0.0, 0.0, 0.0, 0.0, 0.0)
    smooth = landmarks.rates(0.5)
    return Forecast(
        count=float(ages.sum()),
        expected=float(ages @ landmarks.rates()),
        mean=float(ages @ smooth),
        by_chance=float(ages @ (smooth * (1 - smooth))),
        # The same earlier units were there at several ages: their errors are taken as one.
        of_rates=float(ages @ landmarks.deviations()) ** 2,
    )


def sum_of(found: Sequence[Forecast]) -> Forecast:
    """Return the forecast of all units of some forecasts; the errors of their rates are taken as one."""
    return Forecast(
        count=sum(each.count for each in found),
        expected=sum(each.expected for each in found),
        mean=sum(each.mean for each in found),
        by_chance=sum(each.by_chance for each in found),
        of_rates=sum(each.of_rates**0.5 for each in found) ** 2,
    )


def spread_over_time(forecasts: list[Forecast], converted: list[float]) -> float:
    """Return the relative variance of what came at earlier moments beyond chance, by the method of moments.

    With few moments nobody knows it: two more are taken to have differed by `USUAL_SPREAD`.
    """
    known = [(each, came) for each, came in zip(forecasts, converted, strict=True) if each.mean > 0]
    beyond = sum((came - each.mean) ** 2 - each.by_chance for each, came in known)
    squares = sum(each.mean**2 for each, _ in known)
    seen = max(0.0, beyond / squares) if squares else 0.0
    return (2 * USUAL_SPREAD**2 + len(known) * seen) / (2 + len(known))


@python_model("analyses.pending_forecast")
def pending_forecast(engine: Engine) -> pa.Table:
    """Return how many of the pending units of each funnel, persona and step are expected to reach the last step.

    References
    ----------
    `docs/adr/0040-forecasts-of-pending.md`; van Houwelingen (2007), "Dynamic prediction by landmarking in event history
    analysis".
    """
    personas = engine.rows(_PERSONAS).to_pylist()
    names = sorted({each["persona"] for each in personas} - {"all"})
    kind, funnel_index, cells = _read_cells(engine, names)
    # A persona of today takes those who converted out of the past of the others: all are forecast alike.
    is_pooled = engine.rows("select 1 from config.personas where is_as_of_now").num_rows > 0
    rows: list[dict[str, Any]] = []
    for funnel in engine.rows(FUNNELS).to_pylist():
        index = funnel["funnel_index"]
        shown = [names.index(each["persona"]) for each in personas
                 if each["funnel_index"] == index and each["persona"] != "all"]  # fmt: skip
        of_kind = {each: cells.those((funnel_index == index) & (kind == each)) for each in KINDS}
        shape = (len(names), funnel["step_count"] - 1)
        for step, found in _steps(of_kind, shape, shown, is_pooled=is_pooled):
            labels = [*(names[each] for each in shown), "all"]
            rows += [
                {"funnel_index": index, "persona": label, "step_index": step} | row
                for label, row in zip(labels, found, strict=True)
            ]
    return pl.DataFrame(rows, schema=_FORECASTS).to_arrow()


def _read_cells(engine: Engine, names: list[str]) -> tuple[npt.NDArray[Any], Ints, Cells]:
    """Return the kind, the funnel and the rest of the cells."""
    rows = engine.rows(_CELLS)
    place = {name: number for number, name in enumerate(names)}
    persona = np.array([place[name] for name in rows["persona"].to_pylist()], np.int64)
    numbers = [rows[name].to_numpy().astype(np.int64) for name in ("funnel_index", *Cells._fields[1:])]
    return np.array(rows["kind"].to_pylist(), np.str_), numbers[0], Cells(persona, *numbers[1:])


def _steps(
    cells: dict[str, Cells], shape: tuple[int, int], shown: list[int], *, is_pooled: bool
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Yield the rows of each step but the last: of each persona shown, and of all, whose expectation is the sum."""
    past, early = (np.array(count_landmarks(cells[kind], *shape)) for kind in ("past", "early"))
    now, then = cells["now"], cells["moment"]
    ages = np.zeros((*shape, SLOTS))
    np.add.at(ages, (now.persona, now.step_index - 1, now.first_slot), now.unit_count)
    for step in range(shape[1]):
        late, first = (float(each[0][:, step].sum(axis=0).max()) for each in (past, early))
        added = early[:, :, step] if late < LEAST_UNITS else 0.0
        units, converted = past[:, :, step] + added
        everybody = Landmarks(units.sum(axis=0), converted.sum(axis=0))
        waiting = ages[:, step].sum(axis=0)
        spread = _spread(then.those(then.step_index == step + 1), everybody) if waiting.any() else 0.0
        if late < min(first, LEAST_UNITS):
            spread = max(spread, UNKNOWN_SPREAD**2)
        found = []
        for at in shown:
            is_enough = (units[at] >= LEAST_UNITS) & (not is_pooled)
            own = Landmarks(
                np.where(is_enough, units[at], everybody.units),
                np.where(is_enough, converted[at], everybody.converted),
            )
            found.append(forecast(ages[at, step], own))
        found.append(sum_of(found) if found else forecast(waiting, everybody))
        yield step + 1, [_row(each, spread) for each in found]


def _spread(then: Cells, everybody: Landmarks) -> float:
    moments = [then.those(then.origin_at == at) for at in np.unique(then.origin_at)]
    ages = [np.bincount(each.first_slot, each.unit_count, SLOTS).astype(np.float64) for each in moments]
    return spread_over_time(
        [forecast(each, everybody) for each in ages], [float(each.converted_count.sum()) for each in moments]
    )


def _row(found: Forecast, spread: float) -> dict[str, Any]:
    interval = found.interval(spread) or (None, None)
    expected = None if np.isnan(found.expected) else found.expected
    return {
        "pending_count": int(found.count), "expected_count": expected, "low": interval[0],
        "high": interval[1],
    }  # fmt: skip


@python_model("analyses.forecast_scores")
def forecast_scores(engine: Engine, config: Config) -> pa.Table:
    """Return the forecasts of earlier runs and of this one, and what came of those whose windows are over.

    Each run keeps what the generation before says: counts only. Who was pending at that moment, and who of them got to
    the last step in time, is counted again from the events. The first run of a day, by the high-water mark, is kept.
    """
    funnels = engine.rows(FUNNELS).to_pylist()
    if not funnels:
        return pl.DataFrame(schema=_SCORES).to_arrow()
    high_water_at = funnels[0]["high_water_at"]
    named = pl.DataFrame(
        [{name: each[name] for name in ("funnel_index", "funnel", "window_us")} for each in funnels],
        schema={"funnel_index": pl.Int32, "funnel": pl.String, "window_us": pl.Int64},
    )
    stored = _published_scores(config)
    rows = engine.rows(_MADE)
    added = (
        pl.DataFrame(rows)
        .join(named, on="funnel_index")
        .with_columns(pl.lit(high_water_at, pl.Datetime("us")).alias("forecast_at"))
        .with_columns((pl.col("forecast_at") + pl.duration(microseconds="window_us")).alias("due_at"))
    )
    day = pl.col("forecast_at").dt.date().alias("day")
    kept = stored.select("funnel", day)
    added = added.with_columns(day).join(kept, on=["funnel", "day"], how="anti")
    moments = pl.DataFrame(engine.rows(_MOMENTS)).join(named, on="funnel_index")
    moments = moments.with_columns(pl.col("forecast_at").cast(pl.Datetime("us")))
    earlier = scored(stored, moments, high_water_at, named["funnel"].to_list())
    missing = [pl.lit(None, pl.Int64).alias(name) for name in ("settled_count", "converted_count")]
    new = added.with_columns(missing).select(list(_SCORES)).cast(_SCORES)
    both = pl.concat([earlier, new]).sort("forecast_at", *_KEYS)
    is_open = pl.col("settled_count").is_null()
    # What a funnel that is gone expected has no outcome.
    return pl.concat(
        [
            both.filter(~is_open).tail(MOST_ROWS),
            both.filter(is_open & pl.col("funnel").is_in(named["funnel"].to_list())),
        ]
    ).to_arrow()


def scored(stored: pl.DataFrame, moments: pl.DataFrame, high_water_at: datetime, funnels: list[str]) -> pl.DataFrame:
    """Return the forecasts, with what came of those that are due; a funnel that is gone has no outcome.

    `moments` are the units that were pending at the moment of a forecast, by what they did.
    """
    both = pl.concat([moments, moments.with_columns(pl.lit("all").alias("persona"))])
    counted = both.group_by(*_KEYS, "forecast_at").agg(
        pl.col("unit_count").sum().alias("found"),
        pl.col("unit_count").filter(pl.col("is_converted")).sum().alias("came"),
    )
    is_scored = _is_due(high_water_at) & pl.col("funnel").is_in(funnels)
    joined = stored.join(counted, on=[*_KEYS, "forecast_at"], how="left", maintain_order="left")
    return (
        joined.with_columns(
            pl.when(is_scored).then(pl.col(new).fill_null(0)).otherwise(pl.col(old)).alias(old)
            for old, new in (("settled_count", "found"), ("converted_count", "came"))
        )
        .select(list(_SCORES))
        .cast(_SCORES)
    )


def _is_due(high_water_at: datetime) -> pl.Expr:
    return pl.col("settled_count").is_null() & (pl.col("due_at") <= pl.lit(high_water_at, pl.Datetime("us")))


def _published_scores(config: Config) -> pl.DataFrame:
    """Return the forecasts that the generation before keeps; empty on the first run."""
    generation = (config.publish / "current").resolve()
    try:
        tables = read_manifest(generation).tables
    except NotFoundError:
        tables = {}
    if _TABLE not in tables:
        return pl.DataFrame(schema=_SCORES)
    rows = pl.read_parquet(generation / tables[_TABLE].file, columns=list(_SCORES))
    return rows.cast(_SCORES)
