"""Rows of people touched leave the last build, and those built beside it take their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from journeyflow.engines import DuckDBEngine
    from journeyflow.models import Model


def exchange(base: DuckDBEngine, model: Model) -> None:
    """Exchange the rows of a relation that belong to people touched.

    Parameters
    ----------
    base : DuckDBEngine
        The last build; ``delta`` is attached and holds `touched.*` and the relation.
    model : Model
        Says in `renewed_by` which columns tell whose a row is.
    """
    base.execute(f"delete from {model.name} where {' or '.join(map(_touched, model.paperwork.renewed_by))}")
    columns = ", ".join(base.columns(model.name))
    base.execute(f"insert into {model.name} by name select {columns} from delta.{model.name}", model=model.name)


def _touched(key: str) -> str:
    if key == "attempt_ix":  # Attempts are numbered within a funnel.
        return f"(funnel_index, attempt_ix) in (select (funnel_index, attempt_ix) from delta.touched.{key})"
    return f"{key} in (select {key} from delta.touched.{key})"


def put_new(base: DuckDBEngine, model: Model) -> None:
    """Add the rows of new events to a relation whose rows are events and never change, without those that are gone."""
    base.execute(f"delete from {model.name} where event_ix in (select event_ix from delta.touched.gone_events)")
    base.execute(
        f"insert into {model.name} by name select * from delta.{model.name} "
        "where event_ix in (select event_ix from delta.touched.new_events)",
        model=model.name,
    )


def put_whole(base: DuckDBEngine, model: Model) -> None:
    """Take a small relation over whole."""
    replace_rows(base, model.name, f"delta.{model.name}")


def replace_rows(base: DuckDBEngine, name: str, source: str) -> None:
    """Let the table `name` hold the rows of `source`: unlike a new table this may be undone with the transaction."""
    base.execute(f"delete from {name}")
    base.execute(f"insert into {name} by name select * from {source}", model=name)
