"""The models of `sql/` as a graph: what is built, from what, and in which order."""

from __future__ import annotations

from journeyflow.models.dag import Graph, Phase, load_graph
from journeyflow.models.model import Case, Check, Column, Model, ModelMetadata

__all__ = ["Case", "Check", "Column", "Graph", "Model", "ModelMetadata", "Phase", "load_graph"]
