"""What is compiled: each function once, and by the warm-up all that a project needs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from support.order_project import write_project

MOST_FUNCTIONS = 84
COMPILING = """
import sys
from numba.core import event

class Listener(event.Listener):
    def on_start(self, event):
        function = event.data["dispatcher"].py_func
        if function.__module__.startswith("journeyflow"):
            print(f"{function.__module__}.{function.__qualname__}", file=sys.stderr)

    def on_end(self, event):
        pass

event.register("numba:compile", Listener())
from journeyflow.cli import main
main(sys.argv[1:])
"""


def compiled(arguments, cache):
    done = subprocess.run(
        [sys.executable, "-c", COMPILING, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache)},
    )
    return Counter(line for line in done.stderr.splitlines() if line.startswith("journeyflow."))


@pytest.mark.long
def test_each_function_is_compiled_once_and_none_after_the_warm_up(tmp_path):
    cache = tmp_path / "cache"
    found = compiled(["warm-up", "--quiet"], cache)
    assert [name for name, count in found.items() if count > 1] == []
    assert len(found) <= MOST_FUNCTIONS
    config = write_project(tmp_path / "shop")
    assert compiled(["run", "--quiet", "--config", str(config)], cache) == {}
