"""From raw exports to a first configuration: samples, columns, sources, a first model, a trial, suggestions."""
