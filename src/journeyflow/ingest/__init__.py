"""Ingest: input files become rows of `raw.events`, `raw.traits` and `raw.quarantine`.

`load.load_events` reads each new file through these temporary relations of the warehouse connection:

==================== ================================================== ==============================
relation             content                                            made by
==================== ================================================== ==============================
`raw_records`        records as parsed, see `readers.records`           `parser.copy.show_records`
`raw_rejects`        records that cannot be parsed                      `parser.copy.show_records`
`raw_texts`          each record as one text, for the quarantine        `validate.prepare`
`canonical_records`  canonical columns as the source writes them        `validate.prepare`
`stored_records`     few `validated_records`, which then are a view     `validate.prepare`
`validated_records`  typed, cleaned, with `reason` and `is_kept`        `validate.prepare`
`erased_records`     records and rejects of erased persons              `suppression.split_suppressed`
`retained_records`   `validated_records` without `erased_records`       `suppression.split_suppressed`
==================== ================================================== ==============================

`insert.insert_records` reads `retained_records`, `raw_rejects`, `raw_texts` and `erased_records` and writes the tables.
"""
