"""What builds the tables of a night: the last build renewed, or everything anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from journeyflow.building import Builder
from journeyflow.models import Graph
from journeyflow.project import writable_build
from journeyflow.renewing.marks import mark_of, write_mark
from journeyflow.renewing.preparing import prepare

if TYPE_CHECKING:
    from datetime import datetime

    from journeyflow.config import Config
    from journeyflow.loading import Loaded
    from journeyflow.runs import RunRow


def choose(
    config: Config, loaded: Loaded, graph: Graph, row: RunRow, place: Path, limits: dict[str, Any], *, is_whole: bool
) -> tuple[Builder, str]:
    """Return what builds the tables of a night, and in a few words what it builds and why.

    Parameters
    ----------
    config : Config
        As it is run.
    loaded : Loaded
        What the night found.
    graph : Graph
    row : RunRow
        The night; its hash tells the rules.
    place : Path
        Where a database is made when everything is built anew.
    limits : dict
        Memory, threads and the spill folder of databases.
    is_whole : bool
        Build everything anew, though the last build could be renewed.
    """
    renewer = "it was asked for" if is_whole else prepare(config, loaded, graph, row, limits)
    if not isinstance(renewer, str):
        renewer.begin()
        return renewer, renewer.story
    builder = Builder(writable_build(config, place, limits), graph, config)
    builder.mirror_warehouse()
    return builder, f"everything built anew: {renewer}"


def settle(builder: Builder, config: Config, row: RunRow, high_water_at: datetime) -> None:
    """Say in a build that was checked what it is of, so that the next night may renew it."""
    position, size = builder.next_position, builder.byte_count
    write_mark(builder.engine, mark_of(builder.engine, config, row.config_hash, high_water_at, position, size))
