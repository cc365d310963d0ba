"""The page of tables in `docs/reference/`, generated from the models."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from journeyflow.models import Graph, Model
from journeyflow.models.model import LAYERS

_TITLES = {"marts": "Marts", "insights": "Insights"}
_INTERNAL = ("sources", "staging", "identity", "journeys", "kernel", "funnels", "map", "statistics")


def tables_page(graph: Graph) -> str:
    """Return `docs/reference/tables.md`: every published table, then the internal models behind them."""
    return "\n".join([*_head(), *_published(graph), *_internal(graph)]).rstrip() + "\n"


def _head() -> Iterator[str]:
    yield "# Tables"
    yield ""
    yield "Generated from the `.yml` files of `sql/` by `make docs`; change them there. What the numbers mean is in"
    yield "[semantics.md](semantics.md)."
    yield ""
    yield "Published tables are stored in `published/current/marts.duckdb` and, one Parquet file each, beside it."
    yield "`persona = 'all'` and `period = 'all'` are total rows. Counts include all units; rates, intervals and"
    yield "quantiles matured units only."


def _published(graph: Graph) -> Iterator[str]:
    models = sorted(graph.published(), key=lambda model: (LAYERS.index(model.layer), model.name))
    for layer, members in groupby(models, key=lambda model: model.layer):
        yield ""
        yield f"## {_TITLES[layer]}"
        for model in members:
            yield from _table(model)


def _table(model: Model) -> Iterator[str]:
    yield ""
    yield f"### {model.table}"
    yield ""
    yield model.metadata.description.strip()
    yield ""
    if model.grain:
        yield f"One row per {', '.join(f'`{name}`' for name in model.grain)}. Reads {_listed(model)}."
        yield ""
    yield "| column | type | unit | meaning |"
    yield "|---|---|---|---|"
    for name, column in model.columns.items():
        yield f"| `{name}` | {column.type} | {_cell(column.unit or '')} | {_cell(column.meaning)} |"


def _internal(graph: Graph) -> Iterator[str]:
    yield ""
    yield "## Behind them"
    yield ""
    yield "Kept in `state/build.duckdb` after each run, for questions that the published tables do not answer. Not an"
    yield "interface: names may change."
    yield ""
    yield "| model | one row per | what it says |"
    yield "|---|---|---|"
    for model in sorted(graph, key=lambda model: (LAYERS.index(model.layer), model.name)):
        if model.layer in _INTERNAL:
            grain = ", ".join(f"`{name}`" for name in model.grain or ())
            yield f"| `{model.name}` | {grain} | {_cell(model.metadata.description)} |"


def _listed(model: Model) -> str:
    return ", ".join(f"`{name}`" for name in model.inputs) or "nothing"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
