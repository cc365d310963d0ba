"""Records as they stood in the file, for the quarantine."""

from __future__ import annotations

from journeyflow.ingest.quoting import literal
from journeyflow.ingest.readers.raw import RawRecords


def shown(raw: RawRecords) -> str:
    """Return SQL of a record of `raw_records` as one text."""
    if raw.shape == "json":
        return "cast(case when parent is null then record else json_merge_patch(parent, record) end as varchar)"
    if raw.shape == "columns":
        pairs = ", ".join(f"{literal(name)}, c{index}" for index, name in enumerate(raw.names))
        return f"cast(json_object({pairs}) as varchar)"
    return "cast(null as varchar)"  # A log line holds an address; its adapter says what may be kept of it.
