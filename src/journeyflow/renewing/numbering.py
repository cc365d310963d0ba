"""Things keep their numbers from night to night; new ones get the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from journeyflow.engines import DuckDBEngine
    from journeyflow.models import Model


def keep_numbers(base: DuckDBEngine, delta: DuckDBEngine, model: Model) -> None:
    """Let a numbered relation of `delta` hold the rows of the last build as they were, and after them what is new.

    Parameters
    ----------
    base : DuckDBEngine
        The last build; ``delta`` is attached.
    delta : DuckDBEngine
        The database beside it, in which the model was built from what is new.
    model : Model
        Says in `keeps_numbers` which column numbers and which name a row.
    """
    ((number, names),) = model.paperwork.keeps_numbers.items()
    columns = [name for name in model.columns if name != number]
    alike = " and ".join(f"old.{name} is not distinct from new.{name}" for name in names)
    taken = f"(select coalesce(max({number}), 0) from {model.name})"
    numbered = f"cast({taken} + row_number() over (order by {', '.join(f'new.{name}' for name in names)}) as integer)"
    listed = {number: numbered, **{name: f"new.{name}" for name in columns}}
    base.execute(
        f"""
        create table delta.touched.numbered as
        select {", ".join(model.columns)} from {model.name}
        union all
        select {", ".join(f"{listed[name]} as {name}" for name in model.columns)}
        from delta.{model.name} as new
        where not exists (select 1 from {model.name} as old where {alike})
        """
    )
    delta.execute(f"create or replace table {model.name} as select * from touched.numbered")
    delta.execute("drop table touched.numbered")
