"""What somebody should look at though a run published: found in what it built, told, and remembered."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from journeyflow.engines import DuckDBEngine
from journeyflow.progress import Progress, silent, tell

KINDS = ("silent_source", "empty_input", "jumped_share")
"""Kinds of `blind_spots` whose critical rows are alarms. The others stay from night to night and are told there."""
INPUT = "input"
"""The kind of what loading found: files refused, many records in quarantine."""
_SPOTS = "insights.blind_spots"
_SHARES = "insights._night_shares"
_ALARMS = pa.schema([("run_id", pa.string()), ("kind", pa.string()), ("detail", pa.string())])


@dataclass(frozen=True)
class Alarms:
    """The alarms of one run, and the shares that later runs compare theirs with.

    Attributes
    ----------
    told : tuple of (str, str)
        Kind and sentence: `INPUT` first, then the kinds of `KINDS` in their order.
    shares : Table or None
        Kind, subject, item_count and whole_count of what came with the run.
    """

    told: tuple[tuple[str, str], ...] = ()
    shares: pa.Table | None = None

    @property
    def sentences(self) -> tuple[str, ...]:
        """What a person reads."""
        return tuple(sentence for _, sentence in self.told)

    def write(self, warehouse: DuckDBEngine, run_id: str) -> None:
        """Remember them under a run, in the place of what was remembered of it."""
        rows = [{"run_id": run_id, "kind": kind, "detail": sentence} for kind, sentence in self.told]
        _put(warehouse, "ledger.alarms", run_id, pa.Table.from_pylist(rows, schema=_ALARMS))
        if self.shares is not None:
            named = pa.array([run_id] * self.shares.num_rows, pa.string())
            _put(warehouse, "ledger.shares", run_id, self.shares.add_column(0, "run_id", named))


def found(engine: DuckDBEngine, of_loading: tuple[str, ...], progress: Progress = silent) -> Alarms:
    """Return the alarms of a run from what it built, and tell those who watch it.

    Parameters
    ----------
    engine : DuckDBEngine
        Where the models are built.
    of_loading : tuple of str
        What loading found.
    progress : Progress
        Told of each.
    """
    told = [(INPUT, sentence) for sentence in of_loading]
    if engine.columns(_SPOTS):
        query = f"select kind, detail from {_SPOTS} where severity = 'critical' order by kind, item_count desc, subject"
        spots = engine.rows(query).to_pylist()
        told += [(kind, spot["detail"]) for kind in KINDS for spot in spots if spot["kind"] == kind]
    for kind, sentence in told:
        tell(progress, "alarm", kind=kind, detail=sentence)
    has_shares = bool(engine.columns(_SHARES))
    shares = engine.rows(f"select kind, subject, item_count, whole_count from {_SHARES}") if has_shares else None
    return Alarms(tuple(told), shares)


def _put(warehouse: DuckDBEngine, table: str, run_id: str, rows: pa.Table) -> None:
    warehouse.append(table, rows.slice(0, 0))  # There it is when it was not.
    warehouse.execute(f"delete from {table} where run_id = ?", [run_id])
    warehouse.append(table, rows)
