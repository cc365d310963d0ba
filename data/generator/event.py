"""What happened, as it truly was."""

from __future__ import annotations

from dataclasses import dataclass, field

BROWSER = "Mozilla/5.0 (Desktop) ExampleBrowser/12.0"


@dataclass
class Event:
    """One true event; the ground truth keeps who did it, whatever the collector saw."""

    human: int
    at: int
    source: str
    name: str
    device: str = ""
    user: str = ""
    seq: int | None = None
    utm: tuple[str, str, str] = ("", "", "")
    referrer: str = ""
    path: str = ""
    target: str = ""
    amount: str = ""
    currency: str = ""
    props: dict[str, str | int] = field(default_factory=dict)
    agent: str = ""
    event_id: str = ""
    received: int = 0
