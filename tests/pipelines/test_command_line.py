"""The command line runs without Prefect, which takes seconds to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from journeyflow.cli import main
try:
    main(sys.argv[1:])
finally:
    print(sorted({name.split('.')[0] for name in sys.modules} & {'prefect', 'fastapi', 'sqlalchemy'}))
"""


def test_a_run_never_imports_prefect(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, "run", "--quiet"], cwd=project.parent, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
