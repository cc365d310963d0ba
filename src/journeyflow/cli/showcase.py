"""The folder and the screens of `journeyflow demo`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from journeyflow import resources
from journeyflow.errors import InputError

if TYPE_CHECKING:
    from journeyflow.config import Config

NOT_COPIED = shutil.ignore_patterns("state", "published", "__pycache__", "*.py", "*.duckdb")


def prepare_demo(folder: Path) -> Path:
    """Copy the sample into `folder`, or find it there from an earlier demo.

    Returns
    -------
    Path
        The configuration to run.

    Raises
    ------
    InputError
        When the folder holds something else.
    """
    sample = resources.sample_folder()
    config = folder / "journeyflow.yml"
    if folder.exists() and any(folder.iterdir()):
        if config.is_file() and config.read_bytes() == (sample / "journeyflow.yml").read_bytes():
            return config
        raise InputError(f"{folder} is not empty. Name another folder with --folder.")
    shutil.copytree(sample, folder, ignore=NOT_COPIED, dirs_exist_ok=True)
    return config


def print_showcase(config: Config, folder: Path) -> None:
    """Print what the sample shows: a funnel, who goes through it, where they leave, and what to ask next."""
    from rich.text import Text

    from journeyflow.cli.frames import console
    from journeyflow.cli.marts import matching, open_marts, personas_of, steps_of
    from journeyflow.cli.screens import print_drop_offs, print_funnel, print_personas

    out, name = console(), next(iter(config.funnels))
    with open_marts(folder, config.publish) as marts:
        steps = steps_of(marts, name, "all", "all")
        worst = max(steps.head(-1).to_dicts(), key=lambda row: row["drop_off_count"])
        out.print()
        print_funnel(steps, out)
        out.print()
        print_personas(personas_of(marts, name), out)
        tables = [matching(marts, table, name, "all", "all") for table in ("drop_offs", "drop_off_next")]
        print_drop_offs(worst, *tables, top=5, out=out)
    out.print(Text(_NEXT.format(folder=folder, funnel=name, command=_command())))


def _command() -> str:
    """Return what to type for `journeyflow`: where it is not on the PATH, its place."""
    return "journeyflow" if shutil.which("journeyflow") else str(Path(sys.argv[0]).absolute())


_NEXT = """
The journey map, for a browser: {folder}/published/current/map.html

Next:
  cd {folder}
  {command} report --format md            # the same as a message
  {command} funnel                        # every funnel there is
  {command} funnel {funnel} --persona student
  {command} drop-offs {funnel}
  {command} query "select * from paths where model = 'four_stage'"
and on your own data: {command} init your-events.csv"""
