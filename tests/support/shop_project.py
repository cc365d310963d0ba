"""A project of the small shop: files come and go, runs end or are killed, and what is published is compared."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import journeyflow
from journeyflow.config import Config, load_config
from journeyflow.engines import DuckDBEngine
from journeyflow.operations.rebuild import Verification, rebuild, replay, verify
from journeyflow.pipeline.run_report import RunReport
from support import rebuild_compare, shop_files
from support.shop import Event
from support.shop_rules import rules_text

PLANS, SEGMENTS = ("customer", "plan", "changed_at"), ("customer", "segment")


class ShopProject:
    """A folder with rules, traits and input, and the memory of all that its runs have read.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: dict[str, int] = {}
        self.retention: dict[str, Any] = {}
        self.plans: list[dict[str, str]] = []
        self.segments: dict[str, str] = {}
        self.read: dict[str, bytes] = {}
        """Every content that a complete run has found, by a name for a project that reads all at once."""
        self.file_count = 0
        for name in ("in", "crm"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.write_rules()
        self.write_traits()

    @property
    def path(self) -> Path:
        """Where the rules are."""
        return self.folder / "journeyflow.yml"

    @property
    def config(self) -> Config:
        """The rules as they are now."""
        return load_config(self.path)

    def write_rules(self) -> None:
        """Write the rules as the switches are."""
        self.path.write_text(rules_text(self.settings, self.retention), encoding="utf-8")

    def write_traits(self) -> None:
        """Write the files of traits."""
        segments = [{"customer": user, "segment": segment} for user, segment in sorted(self.segments.items())]
        (self.folder / "crm" / "plans.csv").write_bytes(shop_files.table(PLANS, self.plans))
        (self.folder / "crm" / "segments.csv").write_bytes(shop_files.table(SEGMENTS, segments))

    def put(self, source: str, content: bytes, ending: str | None = None) -> Path:
        """Put a file into the input."""
        self.file_count += 1
        name = f"{source}-{self.file_count:05d}.{ending or shop_files.ENDINGS[source]}"
        path = self.folder / "in" / name
        path.write_bytes(content)
        return path

    def put_events(self, events: list[Event], *, is_packed: bool = False) -> list[Path]:
        """Put a file of each source that these events belong to into the input."""
        paths = []
        for source, part in shop_files.parted(events).items():
            packs = is_packed and source in ("web", "app")
            ending = f"{shop_files.ENDINGS[source]}{'.gz' if packs else ''}"
            paths.append(self.put(source, shop_files.content(source, part, is_packed=packs), ending))
        return paths

    def begin(self) -> None:
        """Put an empty file of each source into the input: a pattern that never matched stops a run."""
        for source in shop_files.ENDINGS:
            self.put(source, shop_files.content(source, []))

    def run(self, as_of: datetime | None = None) -> RunReport:
        """Run to the end."""
        report = journeyflow.run(self.config, as_of=as_of)
        self.note()
        return report

    def note(self) -> None:
        """Remember what a complete run has found in the input."""
        for path in sorted((self.folder / "in").iterdir()):
            source, _, rest = path.name.partition("-")
            content = path.read_bytes()
            name = f"{source}-{hashlib.sha256(content).hexdigest()}.{rest.partition('.')[2]}"
            self.read.setdefault(name, content)

    def interrupted(self, nth: int) -> bool:
        """Run with the `nth` statement interrupted as by Ctrl-C; tell whether there were so many."""
        try:
            with interrupting(nth):
                self.run()
        except KeyboardInterrupt:
            return True
        return False

    def rebuild(self) -> None:
        """Rebuild everything from the raw store."""
        rebuild(self.config)

    def replay(self, reason: str | None = None) -> None:
        """Let the next run read again every file with rows in quarantine, of one reason where told."""
        replay(self.config, reason=reason)

    def verify(self) -> Verification:
        """Let the product compare what is published with a rebuild."""
        return verify(self.config)

    def clear_input(self, but: str = "") -> int:
        """Remove input that was read and is in the raw store, except that of one source."""
        kept = {path.name.partition(".")[0] for path in (self.folder / "state" / "raw").glob("*")}
        known = {name.partition("-")[2].partition(".")[0] for name in self.read}
        gone = 0
        for path in (self.folder / "in").iterdir():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            if content in kept & known and path.name.partition("-")[0] != but:
                path.unlink()
                gone += 1
        return gone

    def compared(
        self, as_of: datetime | None = None, inputs: Mapping[str, bytes] | None = None
    ) -> rebuild_compare.Comparison:
        """Compare what is published with a new project that reads all files at once."""
        place = self.folder.parent / "rebuilt"
        shutil.rmtree(place, ignore_errors=True)
        fresh, mark = rebuild_compare.rebuild(self.folder, self.read if inputs is None else inputs, place, as_of)
        found = rebuild_compare.compare(rebuild_compare.published(self.folder), fresh)
        if mark != rebuild_compare.mark_of(self.folder):
            return rebuild_compare.Comparison(found.row_count, (f"the mark is not {mark}", *found.differences))
        return found


@contextmanager
def interrupting(nth: int) -> Iterator[None]:
    """Let the `nth` statement that the database is given be interrupted."""
    original = DuckDBEngine.execute
    left = nth

    def execute(self: DuckDBEngine, *args: Any, **more: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt
        return original(self, *args, **more)

    DuckDBEngine.execute = execute  # type: ignore[method-assign]
    try:
        yield
    finally:
        DuckDBEngine.execute = original  # type: ignore[method-assign]
