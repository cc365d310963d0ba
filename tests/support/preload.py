"""Imported by the server that processes are forked from: the graph is read once, which takes as long as a run."""

from pathlib import Path
from types import SimpleNamespace

from journeyflow.state.paths import graph_of

graph_of(SimpleNamespace(folder=Path(__file__).parent))
