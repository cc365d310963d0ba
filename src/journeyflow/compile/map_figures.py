"""Compile `insights.map_figures`: one SELECT for each kind of item of `config.map_rows`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from journeyflow.config.map_rows import (
    GRAINS,
    MAP_ROWS,
    SHARES_OF_ALL_VISITORS,
    UNITS_WITH_MINIMUM,
    MapFigure,
    MapItems,
    RowKey,
)
from journeyflow.engines.base import text
from journeyflow.models.python_models import python_model

_INSIGHTS = ("desired_gaps", "opportunities", "pain_points")
"""Tables of this layer; the others are marts."""
_CELL = "cells.model, cells.persona, cells.period, cells.stage"
_TEXT = MapFigure("text", "", "items", evidence="supplied")
"""The figure of an item that is only a text."""


@python_model("insights.map_figures")
def map_figures() -> str:
    """Return the SELECT of every figure of every map.

    Positions count the figures of a cell; what an item lacks leaves a gap.
    """
    ranked: list[str] = []
    selects: list[str] = []
    for row in MAP_ROWS:
        position = 1
        for items in row.items:
            name = f"{row.key}_{items.table}"
            ranked.append(f"{name} as ({_ranked(items)})")
            selects.append(_select(row.key, items, name, position))
            position += items.most_items * max(len(items.figures), 1)
    return f"with {', '.join(ranked)} {' union all '.join(selects)}"


def _ranked(items: MapItems) -> str:
    """Return the SELECT of the rows of a table in the cells of the map, with their rank in the cell."""
    joined = [f"source.{column} = cells.{cell}" for cell, column in items.on.items()]
    kept = [f"source.{column} = {text(value)}" for column, value in items.where.items()]
    kept += [f"source.{column} <> {text(value)}" for column, value in items.where_not.items()]
    kept += ["cells.period = 'all'"] if items.whole_time_only else []
    order = [f"case when source.{items.item} = {text(items.last)} then 1 else 0 end"] if items.last else []
    order += [f"source.{column[1:]} desc" if column[0] == "-" else f"source.{column}" for column in items.order]
    rank = f"row_number() over (partition by {_CELL} order by {', '.join(order)})" if order else "1"
    layer = "insights" if items.table in _INSIGHTS else "marts"
    columns = [f"source.{name} as source_{name}" for name in sorted(set(_columns(items)))]
    return (
        f"select {', '.join([_CELL, f'{rank} as item_rank', *columns])} from marts.map_stages as cells "
        f"inner join {layer}.{items.table} as source on {' and '.join(joined)}"
        + (f" where {' and '.join(kept)}" if kept else "")
    )


def _columns(items: MapItems) -> Iterator[str]:
    """Yield the columns of the table that figures, keys and flags are made of."""
    yield from GRAINS[items.table]
    yield from [items.item] if items.item else []
    yield from ["is_small"] if items.has_small else []
    for figure in items.figures:
        yield figure.column
        yield from figure.ends or ()
        yield from [figure.n] if figure.n else []
        yield from [figure.unit_by[0]] if figure.unit_by else []
        yield from ["evidence"] if figure.evidence == "of the row" else []
        yield from ["currency"] if figure.unit == "amount" else []
        yield from ["model"] if figure.own_model else []


def _select(key: RowKey, items: MapItems, ranked: str, position: int) -> str:
    """Return the SELECT of the figures of one kind of item; the first has `position` in the cell."""
    figures = items.figures or (_TEXT,)
    columns = {
        "row": text(key),
        "position": f"{position} + figure_ix + (item_rank - 1) * {len(figures)}",
        "item": f"source_{items.item}" if items.item else _null("varchar"),
        "figure": _by_figure(text(each.column) for each in figures),
        "value": _by_figure(_value(each) for each in figures),
        "low": _by_figure(_number(each.ends and each.ends[0]) for each in figures),
        "high": _by_figure(_number(each.ends and each.ends[1]) for each in figures),
        "n": _by_figure(f"cast({f'source_{each.n}' if each.n else 'null'} as bigint)" for each in figures),
        "unit": _by_figure(_null("varchar") if each is _TEXT else _unit(each) for each in figures),
        "evidence": _by_figure(_evidence(each) for each in figures),
        "currency": _by_figure("source_currency" if each.unit == "amount" else _null("varchar") for each in figures),
        "is_small": _by_figure(_is_small(each, items) for each in figures),
        "source_table": text(items.table),
        "source_key": _source_key(items),
    }
    listed = ", ".join(f"{expression} as {name}" for name, expression in columns.items())
    numbers = ", ".join(f"({at})" for at in range(len(figures)))
    select = (
        f"select model, persona, period, stage, {listed} from {ranked} "
        f"cross join (values {numbers}) as figures (figure_ix) where item_rank <= {items.most_items}"
    )
    has_all = items.has_unknown or not items.figures
    return select if has_all else f"select * from ({select}) as known where value is not null"


def _by_figure(expressions: Iterable[str]) -> str:
    """Return the expression of each figure, by its number `figure_ix`."""
    listed = list(expressions)
    if len(set(listed)) == 1:
        return listed[0]
    return f"case figure_ix {' '.join(f'when {at} then {each}' for at, each in enumerate(listed))} end"


def _null(kind: str) -> str:
    return f"cast(null as {kind})"


def _value(figure: MapFigure) -> str:
    """Return the value as a number, an instant as seconds since 1970."""
    if figure is _TEXT:
        return _number(None)
    value = f"epoch(source_{figure.column})" if figure.unit == "instant" else _number(figure.column)
    return f"case when source_model = model then {value} end" if figure.own_model else value


def _number(column: str | None) -> str:
    return f"cast(source_{column} as double)" if column else _null("double")


def _unit(figure: MapFigure) -> str:
    if figure.unit_by is None:
        return text(figure.unit)
    column, units = figure.unit_by
    whens = " ".join(f"when {text(value)} then {text(unit)}" for value, unit in units.items())
    return f"case source_{column} {whens} else {text(figure.unit)} end"


def _evidence(figure: MapFigure) -> str:
    return "source_evidence" if figure.evidence == "of the row" else text(figure.evidence)


def _is_small(figure: MapFigure, items: MapItems) -> str:
    units = {figure.unit, *(figure.unit_by[1].values() if figure.unit_by else ())}
    if not items.has_small or figure.column in SHARES_OF_ALL_VISITORS or not units & {*UNITS_WITH_MINIMUM}:
        return "false"
    return f"source_is_small and {_unit(figure)} in ({', '.join(map(text, UNITS_WITH_MINIMUM))})"


def _source_key(items: MapItems) -> str:
    """Return the key of the row of the table as a JSON object."""
    parts = []
    for column in GRAINS[items.table]:
        name = f"source_{column}"
        is_number = column.endswith(("_rank", "_index"))
        value = name if is_number else rf"""'"', replace(replace({name}, '\', '\\'), '"', '\"'), '"'"""
        parts.append(f"""'"{column}":', {value}""")
    listed = ", ',', ".join(parts)
    return f"concat('{{', {listed}, '}}')"
