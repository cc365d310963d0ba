"""One reader for each way of writing files; each leaves the records of a file as the relation `raw_records`."""
