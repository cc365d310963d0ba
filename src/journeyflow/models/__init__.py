"""The `sql/` folder as a graph of models: what is built, from what, in which order."""

from __future__ import annotations

from journeyflow.models.graph import Graph, Phase, load
from journeyflow.models.model import Model
from journeyflow.models.paperwork import Case, Check, Column, Paperwork

__all__ = ["Case", "Check", "Column", "Graph", "Model", "Paperwork", "Phase", "load"]
