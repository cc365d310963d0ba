"""Which layer may read which. The only place that says so."""

from __future__ import annotations

from journeyflow.errors import ModelError
from journeyflow.models.model import Model

_BELOW_MARTS = ("config", "ledger", "sources", "staging", "journeys", "kernel", "statistics")

MAY_READ: dict[str, tuple[str, ...]] = {
    "landed": (),
    "ledger": (),
    # Truths of conditions are configuration, evaluated over the event kinds.
    "config": ("config", "staging", "journeys"),
    "sources": ("landed", "config"),
    "staging": ("config", "sources", "staging"),
    "journeys": ("config", "sources", "staging", "journeys", "kernel"),
    "kernel": ("config", "staging", "journeys", "kernel"),
    "statistics": ("config", "journeys", "kernel", "statistics"),
    "marts": _BELOW_MARTS,
    "insights": (*_BELOW_MARTS, "marts", "insights"),
}
"""Layers that a layer may read; `docs/architecture.md` draws it."""


def check_arrow(model: Model, upstream: Model) -> None:
    """Refuse an arrow against the layers.

    A user's own model may read any published table; a private model is for its own folder.

    Raises
    ------
    ModelError
        Names both models and what the layer may read.
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
