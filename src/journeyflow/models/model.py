"""A model: one node of the graph, its layer, and which layers it may read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from journeyflow.errors import ModelError
from journeyflow.models.metadata import Column, ModelMetadata

_EVENTS = ("config", "sources", "staging", "identity", "journeys", "kernel")
_BELOW_MARTS = (*_EVENTS, "ledger", "funnels", "map", "statistics", "analyses")

MAY_READ: dict[str, tuple[str, ...]] = {
    "raw": (),
    "ledger": (),
    # Predicates are configuration, evaluated over the event types.
    "config": ("config", "staging", "journeys"),
    "sources": ("raw", "config"),
    "staging": ("config", "sources", "staging"),
    "identity": ("config", "sources", "staging", "identity", "kernel"),
    "journeys": _EVENTS,
    # Exposures are what the kernel looks for; the other relations of `map` aggregate its output.
    "kernel": ("config", "staging", "identity", "journeys", "map", "kernel"),
    "funnels": (*_EVENTS, "funnels"),
    "map": (*_EVENTS, "map"),
    "statistics": (*_EVENTS, "funnels", "map", "statistics"),
    "analyses": (*_EVENTS, "funnels", "map", "statistics", "analyses"),
    "marts": _BELOW_MARTS,
    "insights": (*_BELOW_MARTS, "marts", "insights"),
}
"""Layers that a layer may read; `docs/architecture.md` draws it."""


def check_arrow(model: Model, upstream: Model) -> None:
    """Refuse an arrow against the layers.

    A user's own model may read any published table; a private model is for its own folder.
    """
    if upstream.is_private:
        if upstream.layer != model.layer:
            raise ModelError(f"{model.name} reads {upstream.name}, which is private to {upstream.layer}/.")
        return
    if model.is_own and upstream.is_published and model.is_published:
        return
    allowed = MAY_READ[model.layer]
    if upstream.layer not in allowed:
        names = ", ".join(allowed) or "nothing"
        raise ModelError(f"{model.name} reads {upstream.name}, but {model.layer} may read only: {names}.")


LAYERS = tuple(MAY_READ)
PUBLISHED_LAYERS = ("marts", "insights")


@dataclass(frozen=True)
class Model:
    """A SELECT of `sql/`, or a relation that Python fills."""

    name: str
    path: Path
    sql: str | None
    inputs: tuple[str, ...]
    """Models it reads, in the order of the text."""
    metadata: ModelMetadata
    columns: Mapping[str, Column]
    """Every column in the table's order, inherited descriptions filled in."""
    is_own: bool = False
    """It comes from the user's project."""
    origins: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Columns that the SELECT passes on unchanged → the model and column they come from."""
    filled_with: str | None = None
    """The model whose Python function fills this one too."""

    @property
    def layer(self) -> str:
        """The folder of its file."""
        return self.name.split(".")[0]

    @property
    def table(self) -> str:
        """Its name without the layer."""
        return self.name.split(".")[1]

    @property
    def is_private(self) -> bool:
        """It starts with `_`: only its own folder may read it."""
        return self.table.startswith("_")

    @property
    def is_published(self) -> bool:
        """It is part of the interface to users."""
        return self.layer in PUBLISHED_LAYERS and not self.is_private

    @property
    def grain(self) -> tuple[str, ...] | None:
        """Its key columns; empty for a table of one row, None where rows have no key."""
        return self.metadata.grain
