"""What people read in place of names: labels of personas, stages and events; else the words of the name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from journeyflow.utils.formatting import label

PERSONA, STAGE, EVENT = "persona", "stage", "event"
ANY = "any"


@dataclass(frozen=True)
class Labels:
    """Labels by kind, model (`any` but for stages) and name."""

    by_name: Mapping[tuple[str, str, str], str] = field(default_factory=dict)

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Labels:
        """Return the labels of rows of `config.labels` or of the published table `labels`."""
        return cls({(row["kind"], row["model"], row["name"]): row["label"] for row in rows})

    def persona(self, name: str) -> str:
        """Return the label of a persona."""
        return self.by_name.get((PERSONA, ANY, name)) or label(name)

    def stage(self, model: str, name: str) -> str:
        """Return the label of a stage of a journey model."""
        return self.by_name.get((STAGE, model, name)) or label(name)

    def touchpoint(self, name: str) -> str:
        """Return a touchpoint or an event name with the event's label; without a label as it is.

        >>> Labels({("event", "any", "page_view"): "Page"}).touchpoint("web: page_view")
        'web: Page'
        """
        channel, colon, surface = name.rpartition(": ")
        found = self.by_name.get((EVENT, ANY, surface))
        return name if found is None else f"{channel}{colon}{found}"
