"""Imported by the server that processes are forked from: they find the graph read, which takes as long as a night."""

from pathlib import Path
from types import SimpleNamespace

from journeyflow.state.paths import graph_of

graph_of(SimpleNamespace(folder=Path(__file__).parent))
