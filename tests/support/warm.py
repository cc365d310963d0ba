"""Imported by the server that processes are forked from: they find the graph read, which takes longer than a night."""

from support import one_graph

one_graph.use()
