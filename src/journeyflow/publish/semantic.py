"""The semantic file of a generation: its tables, columns and measures in the exchange format of BI tools (Ossie)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from journeyflow.engines.base import word

if TYPE_CHECKING:
    from journeyflow.models import Column, Model

SEMANTIC = "semantic.json"
VERSION = "0.1.1"
"""Of Open Semantic Interchange, now Apache Ossie: the released version, which BI tools read; 0.2 is a draft."""
INSTRUCTIONS = (
    "Tables are aggregated already. A row in which persona, period or another column named in `totals` is 'all' stands "
    "for all rows of that column: filter it to 'all' or leave 'all' out, never both together. Only fields with "
    "`additive_over` may be summed, over those columns and no others. Rates are of persons whose window is over: "
    "compute them from the sums of numerator and denominator, never as a mean or sum of rates. Do not join tables."
)
_NUMBER = re.compile(r"BIGINT|INTEGER|DOUBLE|DECIMAL\(.*\)")
_POSITION = re.compile(r".*_(index|rank|number)|position")
_QUANTILE = re.compile(r"p\d\d_.*")
_TIME = ("DATE", "TIMESTAMP")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_RESERVED = re.compile(
    "all|and|any|as|by|case|cross|cube|current|date|day|end|filter|from|grant|group|having|hour|in|into|is|join|left|like|"
    "limit|method|minute|month|natural|no|not|null|of|on|or|order|outer|over|partition|position|range|rank|result|right|"
    "row|rows|select|set|similar|some|start|table|then|time|timestamp|to|true|union|unique|update|user|using|value|"
    "values|when|where|window|with|year"
)
"""Words that a plain column name may be, and that SQL or a tool may take for its own; these are quoted."""

Item = dict[str, Any]


def semantic_file(models: Iterable[Model], project: str) -> bytes:
    """Return the semantic model of published tables, as JSON, which is YAML too."""
    return (json.dumps(semantic_model(models, project), ensure_ascii=False, indent=1) + "\n").encode()


def semantic_model(models: Iterable[Model], project: str) -> Item:
    """Return the document of `semantic_file`."""
    tables = sorted(models, key=lambda model: model.table)
    return {
        "version": VERSION,
        "semantic_model": [
            {
                "name": "journeyflow",
                "description": f"Customer journeys, funnels and drop-off: the published tables of {project}.",
                "ai_context": {"instructions": INSTRUCTIONS},
                "datasets": [_dataset(model) for model in tables],
                "metrics": [metric for model in tables for metric in _metrics(model)],
            }
        ],
    }


def _dataset(model: Model) -> Item:
    facts = {"grain": list(model.grain or ()), "totals": list(model.metadata.measures.totals)}
    return {
        "name": model.table,
        "source": f"marts.main.{model.table}",
        **({"primary_key": list(model.grain)} if model.grain else {}),
        "description": model.metadata.description,
        "fields": [_field(model, name, column) for name, column in model.columns.items()],
        "custom_extensions": [_extension(facts)],
    }


def is_measure(model: Model, name: str) -> bool:
    """Return whether a column holds numbers to be compared or summed, and not what rows are of."""
    is_number = _NUMBER.fullmatch(model.columns[name].type) is not None
    return is_number and name not in (model.grain or ()) and not _POSITION.fullmatch(name)


def _field(model: Model, name: str, column: Column) -> Item:
    facts: Item = {"type": column.type, "unit": column.unit}
    note = ""
    field: Item = {"name": name, "expression": _expression(_identifier(name))}
    if is_measure(model, name):
        over = additive_over(model, name)
        facts |= {"role": "measure", "is_additive": bool(over), "additive_over": list(over)}
        if ratio := model.metadata.measures.ratios.get(name):
            facts["numerator"], facts["denominator"] = ratio
            note = f" Not additive: compute it as sum({ratio[0]}) / sum({ratio[1]})."
        elif over:
            note = f" May be summed over {', '.join(over)} without the row 'all', and over no other column."
        elif _QUANTILE.fullmatch(name):
            note = " Not additive: a quantile cannot be computed from those of parts."
        else:
            note = " Not additive."
    else:
        facts["role"] = "key" if name in (model.grain or ()) else "dimension"
        field["dimension"] = {"is_time": column.type in _TIME}
    unit = f" [{column.unit}]" if column.unit else ""
    return field | {"description": column.meaning + unit + note, "custom_extensions": [_extension(facts)]}


def additive_over(model: Model, name: str) -> tuple[str, ...]:
    """Return the columns of the grain over which a column may be summed; of a rate, over which its parts may be."""
    measures = model.metadata.measures
    parts = _WORD.findall(" ".join(measures.ratios.get(name, (name,))))
    return tuple(dimension for dimension, names in measures.additive.items() if all(part in names for part in parts))


def _metrics(model: Model) -> Iterator[Item]:
    """Yield a metric for each column that may be summed, and for each rate whose parts may."""
    for name, column in model.columns.items():
        ratio = model.metadata.measures.ratios.get(name)
        over = additive_over(model, name)
        if not is_measure(model, name) or not over:
            continue
        kept = " AND ".join(
            f"{_of(model, total)} <> 'all'" for total in model.metadata.measures.totals if total in over
        )
        numerator, denominator = (_sum(model, part, kept) for part in ratio or (name, name))
        fixed = [each for each in model.grain or () if each not in over]
        note = f" Group by or filter to one of each: {', '.join(fixed)}." if fixed else ""
        yield {
            "name": f"{model.table}_{name}",
            "expression": _expression(f"{numerator} / NULLIF({denominator}, 0)" if ratio else numerator),
            "description": f"{column.meaning}{note}",
            "custom_extensions": [_extension({"dataset": model.table, "group_by": fixed, "unit": column.unit})],
        }


def _sum(model: Model, expression: str, kept: str) -> str:
    qualified = _WORD.sub(lambda found: _of(model, found[0]), expression)
    return f"SUM(CASE WHEN {kept} THEN {qualified} END)" if kept else f"SUM({qualified})"


def _of(model: Model, name: str) -> str:
    return f"{model.table}.{_identifier(name)}"


def _identifier(name: str) -> str:
    return name if _PLAIN.fullmatch(name) and not _RESERVED.fullmatch(name) else word(name)


def _expression(text: str) -> Item:
    return {"dialects": [{"dialect": "ANSI_SQL", "expression": text}]}


def _extension(facts: Item) -> Item:
    """Return what the format has no place for; its vendor is one of those that every version allows."""
    return {
        "vendor_name": "COMMON",
        "data": json.dumps({key: value for key, value in facts.items() if value is not None}),
    }
