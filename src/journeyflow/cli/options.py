"""Options that several commands share, and the examples under their help."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_CONFIG = Path("journeyflow.yml")

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The configuration.", show_default=True)]
PublishedOption = Annotated[
    Path | None,
    typer.Option("--published", help="The published folder; by default the one that the configuration names."),
]
PersonaOption = Annotated[str, typer.Option("--persona", help="One persona; 'all' is the total.")]
PeriodOption = Annotated[str, typer.Option("--period", help="A month of entry such as 2026-03; 'all' is the total.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


class Format(StrEnum):
    """How rows are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def examples(*lines: str) -> str:
    """Return the epilogue of a command's help: one example a line."""
    return "\n\n".join(["Examples:", *(f"$ {line}" for line in lines)])


def parse_instant(text: str | None) -> datetime | None:
    """Return a day (its first instant) or a time as naive UTC; a time without a zone is UTC.

    Raises
    ------
    typer.BadParameter
        The text is neither.
    """
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter("give a day or a time, such as 2026-03-31 or 2026-03-31T02:00:00+01:00") from error
    return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant
