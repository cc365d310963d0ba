"""Write `docs/images/demo.svg`: what `journeyflow demo` shows, as a picture. Run it with `make picture`."""

from __future__ import annotations

import io
import re
import tempfile
from pathlib import Path

from rich.console import Console

import journeyflow
from journeyflow.cli.query import (
    matching,
    open_marts,
    personas_of,
    print_drop_offs,
    print_funnel,
    print_personas,
    steps_of,
)
from journeyflow.cli.run import prepare_demo

PICTURE = Path(__file__).parent / "images" / "demo.svg"
FUNNEL = "checkout"
WIDTH = 132


def picture(published: Path) -> str:
    """Return the screens of the demo as an SVG that needs no font from elsewhere.

    Parameters
    ----------
    published : Path
        What a run on the sample published.
    """
    out = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, highlight=False)
    with open_marts(published.parent, published) as marts:
        steps = steps_of(marts, FUNNEL, "all", "all")
        worst = max(steps.to_dicts()[:-1], key=lambda row: row["drop_off_count"])
        print_funnel(steps, out)
        out.print()
        print_personas(personas_of(marts, FUNNEL), out)
        tables = [matching(marts, table, FUNNEL, "all", "all") for table in ("drop_offs", "drop_off_next")]
        print_drop_offs(worst, *tables, top=5, out=out)
    svg = out.export_svg(title="journeyflow demo", unique_id="demo")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code, monospace", "monospace")


def main() -> None:
    """Run the main job on a copy of the sample and write the picture."""
    with tempfile.TemporaryDirectory() as folder:
        config = journeyflow.load_config(prepare_demo(Path(folder)))
        journeyflow.run(config)
        PICTURE.write_text(picture(config.publish), encoding="utf-8")


if __name__ == "__main__":
    main()
