from __future__ import annotations

import io
import sys

import pytest
from rich.progress import Progress

from journeyflow.cli.progress import Watcher, shown_progress
from journeyflow.utils.formatting import silent


def test_counts_of_files_go_on_and_counts_of_models_stay() -> None:
    bars = Progress(disable=True)
    watch = Watcher(bars)
    for file, count in (("a.csv", 3_000), ("b.csv", 500)):
        watch("load", file, 0)
        watch("load", file, count, count)
    for done in range(4):
        watch("build", "marts.paths", done, 3)
    load, build = bars.tasks
    assert (load.completed, load.total) == (3_500, None)
    assert (build.completed, build.total) == (3, 3)
    assert build.fields["rate"] == ""


def test_names_of_files_cannot_act_on_the_terminal() -> None:
    bars = Progress(disable=True)
    Watcher(bars)("load", "a\x1b[2J.csv", 0)
    assert bars.tasks[0].fields["what"] == "a\\x1b[2J.csv"


@pytest.mark.parametrize("is_quiet", [True, False])
def test_nothing_is_drawn_where_no_person_reads(is_quiet: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with shown_progress(is_quiet=is_quiet) as progress:
        assert progress is silent
