"""Ingestion: input files are parsed, validated, deduplicated and inserted into the warehouse; every record is accounted for."""
